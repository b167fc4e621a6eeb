/** The value below which `share` (0 to 1) of the values lie, by linear interpolation; NaN of none. */
export const quantile = (values: readonly number[], share: number): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const position = (sorted.length - 1) * share;
  const below = sorted[Math.floor(position)];
  const above = sorted[Math.ceil(position)];
  if (below === undefined || above === undefined) return Number.NaN;
  return below + (above - below) * (position - Math.floor(position));
};

/** The middle value; NaN of none. */
export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** The value that one in twenty exceeds; NaN of none. */
export const p95 = (values: readonly number[]): number => quantile(values, 0.95);
