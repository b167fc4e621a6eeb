/** `████████▌                ` of so many columns, in eighths of one. A part that is not nothing shows. */
export const bar = (part: number, whole: number, columns: number): string => {
  const share = whole <= 0 ? 0 : Math.min(1, part / whole);
  const eighths = Math.max(Math.round(share * columns * 8), part > 0 ? 1 : 0);
  const full = '█'.repeat(Math.floor(eighths / 8));
  return (full + (eighths % 8 === 0 ? '' : (parts[eighths % 8] ?? ''))).padEnd(columns);
};

const parts = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/** `37 %`, and `<1 %` for little. */
export const percent = (part: number, whole: number): string => {
  if (whole <= 0) return '–';
  const value = (100 * part) / whole;
  return part > 0 && value < 1 ? '<1 %' : `${Math.floor(value)} %`;
};
