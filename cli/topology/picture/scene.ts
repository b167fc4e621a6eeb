import { textWidth } from './text-width.ts';

/** A picture before it is SVG. Lengths in CSS pixels, from the upper left corner. */
export interface Scene extends Drawing {
  width: number;
  height: number;
}

export interface Drawing {
  boxes: Box[];
  lines: PolyLine[];
  labels: Label[];
}

export interface Rectangle {
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Box extends Rectangle {
  look: 'node' | 'peer' | 'group' | 'pod' | 'vtep' | 'uplink' | 'faulty';
}

export interface PolyLine {
  points: [number, number][];
  look: LineLook;
}

export type LineLook = 'vxlan' | 'direct' | 'broken';

export interface Label {
  /** Of the text's begin, or its middle where `centred`; y of the baseline. */
  x: number;
  y: number;
  text: string;
  look: LabelLook;
  centred?: boolean;
  /** On a line: the line is hidden behind it. */
  onLine?: boolean;
}

export type LabelLook = 'title' | 'name' | 'strong' | 'plain' | 'faint' | 'problem' | LineLook;

/** Three sizes in all. */
export const fontSize = (look: LabelLook): number => (look === 'title' ? 18 : look === 'name' ? 15 : 12);

export const isBold = (look: LabelLook): boolean => ['title', 'name', 'strong'].includes(look);

/** Distance between baselines of lines of 12 px. */
export const LINE_HEIGHT = 17;

/** What a label covers. */
export const labelBounds = ({ x, y, text, look, centred }: Label): Rectangle => {
  const width = labelWidth(text, look);
  const size = fontSize(look);
  return { x: centred ? x - width / 2 : x, y: y - size * 0.8, width, height: size * 1.05 };
};

export const labelWidth = (text: string, look: LabelLook): number =>
  textWidth(text, fontSize(look), isBold(look));

/** The text, or as much of its begin and end as fit, with an ellipsis between. */
export const fitted = (text: string, look: LabelLook, width: number): string => {
  if (labelWidth(text, look) <= width) return text;
  const characters = [...text];
  for (let kept = characters.length - 1; kept > 1; kept -= 1) {
    const tail = Math.floor(kept / 2);
    const short = `${characters.slice(0, kept - tail).join('')}…${characters.slice(-tail).join('')}`;
    if (labelWidth(short, look) <= width) return short;
  }
  return '…';
};

export const moved = <T extends Drawing>(scene: T, dx: number, dy: number): T => ({
  ...scene,
  boxes: scene.boxes.map((box) => ({ ...box, x: box.x + dx, y: box.y + dy })),
  lines: scene.lines.map((line) => ({
    ...line,
    points: line.points.map(([x, y]): [number, number] => [x + dx, y + dy]),
  })),
  labels: scene.labels.map((label) => ({ ...label, x: label.x + dx, y: label.y + dy })),
});

export const joined = (drawings: Drawing[]): Drawing => ({
  boxes: drawings.flatMap(({ boxes }) => boxes),
  lines: drawings.flatMap(({ lines }) => lines),
  labels: drawings.flatMap(({ labels }) => labels),
});
