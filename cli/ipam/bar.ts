/** The characters of a bar: the full one, the parts of one in equal steps, and what is not filled. */
export interface BarStyle {
  full: string;
  parts: string[];
  empty: string;
}

const blocks: BarStyle = { full: '█', parts: ['▏', '▎', '▍', '▌', '▋', '▊', '▉'], empty: '░' };
const ascii: BarStyle = { full: '#', parts: [], empty: '.' };

/** Block characters, unless the locale or the terminal says that it has none. */
export const barStyle = ({ LC_ALL, LC_CTYPE, LANG, TERM }: NodeJS.ProcessEnv = process.env): BarStyle => {
  const locale = [LC_ALL, LC_CTYPE, LANG].find((value) => value !== undefined && value !== '') ?? '';
  const isOther = locale !== '' && !/utf-?8/i.test(locale);
  return isOther || TERM === 'dumb' || TERM === 'linux' ? ascii : blocks;
};

/** `████████▌░░░░░░░` of so many columns. A part that is not nothing shows, and one that is not all leaves something. */
export const bar = (part: number, whole: number, columns: number, style: BarStyle = blocks): string => {
  const steps = style.parts.length + 1;
  const share = whole <= 0 ? 0 : Math.min(1, part / whole);
  const rounded = Math.round(share * columns * steps);
  const atMost = part < whole ? columns * steps - 1 : columns * steps;
  const filled = part <= 0 || whole <= 0 ? 0 : Math.max(1, Math.min(rounded, atMost));
  const rest = filled % steps;
  const text =
    style.full.repeat(Math.floor(filled / steps)) + (rest === 0 ? '' : (style.parts[rest - 1] ?? ''));
  return text.padEnd(columns, style.empty);
};

/** `37 %`, `<1 %` for little, and `99 %` for all but all. */
export const percent = (part: number, whole: number): string => {
  if (whole <= 0) return '–';
  const value = (100 * part) / whole;
  return part > 0 && value < 1 ? '<1 %' : `${Math.floor(value)} %`;
};
