/**
 * How wide a text is in a sans-serif font of that size, in px. Which font a viewer has is not known, so
 * these are the widths of DejaVu Sans, among the widest; what is not listed counts as a full square.
 */
export const textWidth = (text: string, size: number, bold: boolean): number => {
  let width = 0;
  for (const character of text) width += widths.get(character) ?? otherWidth(character);
  return width * size * (bold ? BOLDER : 1);
};

const BOLDER = 1.12;

const classes: [number, string][] = [
  [0.29, "ijl'"],
  [0.34, ' .,:;|/\\!I'],
  [0.41, '-()[]rtf"J·'],
  [0.56, 'csvxyzk*?_T'],
  [0.64, 'abdeghnopqu0123456789FLEY$#'],
  [0.72, 'ABCKPRSVXZ'],
  [0.84, 'DGHNOQUw~+<>=→↔'],
  [1, 'mMW%&@…–✗'],
];

const widths = new Map(classes.flatMap(([width, text]) => [...text].map((character) => [character, width])));

/** Latin letters with accents are as wide as the widest without; ideographs fill a square. */
const otherWidth = (character: string): number => ((character.codePointAt(0) ?? 0) < 0x250 ? 0.85 : 1.1);
