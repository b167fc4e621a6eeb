import {
  type Box,
  fontSize,
  isBold,
  type Label,
  type LabelLook,
  type LineLook,
  labelBounds,
  type PolyLine,
  type Scene,
} from './scene.ts';

/** The scene as an SVG file, on a light ground, in the viewer's sans-serif font. */
export const renderSvg = ({ width, height, boxes, lines, labels }: Scene): string => {
  const [w, h] = [Math.ceil(width), Math.ceil(height)];
  return `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="${w}" height="${h}" viewBox="0 0 ${w} ${h}" font-family="sans-serif">
<rect width="${w}" height="${h}" fill="${GROUND}"/>
${[...boxes.map(drawBox), ...lines.map(drawLine), ...labels.flatMap(drawLabel)].join('\n')}
</svg>
`;
};

const GROUND = '#ffffff';

const boxLooks: Record<Box['look'], { fill: string; stroke: string; radius: number; dash?: string }> = {
  node: { fill: '#f6f8fa', stroke: '#57606a', radius: 10 },
  peer: { fill: '#fbfcfd', stroke: '#8c959f', radius: 10, dash: '5 4' },
  group: { fill: '#f6f8fa', stroke: '#8c959f', radius: 10 },
  pod: { fill: '#ffffff', stroke: '#afb8c1', radius: 6 },
  vtep: { fill: '#ddf0ff', stroke: '#54a3e6', radius: 6 },
  uplink: { fill: '#eaeef2', stroke: '#8c959f', radius: 6 },
  faulty: { fill: '#fff0ee', stroke: '#d1242f', radius: 6 },
};

const lineColours: Record<LineLook, string> = { vxlan: '#0969da', direct: '#1a7f37', broken: '#cf222e' };

const textColours: Record<LabelLook, string> = {
  title: '#1f2328',
  name: '#1f2328',
  strong: '#1f2328',
  plain: '#1f2328',
  faint: '#59636e',
  problem: '#b31d28',
  ...lineColours,
};

const drawBox = ({ x, y, width, height, look }: Box): string => {
  const { fill, stroke, radius, dash } = boxLooks[look];
  const dashes = dash === undefined ? '' : ` stroke-dasharray="${dash}"`;
  return `<rect x="${px(x)}" y="${px(y)}" width="${px(width)}" height="${px(height)}" rx="${radius}" fill="${fill}" stroke="${stroke}"${dashes}/>`;
};

const drawLine = ({ points, look }: PolyLine): string => {
  const dashes = look === 'broken' ? ' stroke-dasharray="6 4"' : '';
  const list = points.map(([x, y]) => `${px(x)},${px(y)}`).join(' ');
  return `<polyline points="${list}" fill="none" stroke="${lineColours[look]}" stroke-width="2" stroke-linejoin="round"${dashes}/>`;
};

const drawLabel = (label: Label): string[] => {
  const { x, y, text, look, centred, onLine } = label;
  const bold = isBold(look) ? ' font-weight="bold"' : '';
  const anchor = centred ? ' text-anchor="middle"' : '';
  const drawn = `<text x="${px(x)}" y="${px(y)}" font-size="${fontSize(look)}" fill="${textColours[look]}"${bold}${anchor}>${escapeXml(text)}</text>`;
  if (!onLine) return [drawn];
  const { x: left, y: top, width, height } = labelBounds(label);
  const ground = `<rect x="${px(left - 5)}" y="${px(top - 2)}" width="${px(width + 10)}" height="${px(height + 4)}" fill="${GROUND}"/>`;
  return [ground, drawn];
};

const px = (value: number): string => String(Math.round(value * 10) / 10);

/** Text as the content of an element; what XML does not allow at all was taken out before. */
export const escapeXml = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => entities[character] ?? '');

const entities: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
