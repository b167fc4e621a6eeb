import fc from 'fast-check';

/**
 * A failed run is repeated with PODWIRE_SEED; PODWIRE_FUZZ multiplies the number of runs (1 unless given:
 * some seconds in all). fast-check's own report has seed, path and the shrunk counterexample.
 */
export const seed = Number(process.env.PODWIRE_SEED ?? crypto.getRandomValues(new Int32Array(1))[0]);

/** Parameters for `fc.assert`; `offset` gives each of several workers a sequence of its own. */
export const settings = (runs: number, offset = 0): { seed: number; numRuns: number } => ({
  seed: seed + offset,
  numRuns: Math.ceil(runs * Number(process.env.PODWIRE_FUZZ ?? 1)),
});

/** Asserts a property over that many runs. */
export const holds = <T>(property: fc.IProperty<T>, runs: number): void =>
  fc.assert(property, settings(runs));
