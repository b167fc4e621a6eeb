import { type RecoveryName, recoveryNames } from './recoveries.ts';
import type { FaultRow } from './rows.ts';
import type { Step } from './trace.ts';

/** What is done at a step, and what has to bring back a clean state; without recovery, the call itself. */
export interface Hit {
  /** The tool that is hit, by its role; the plugin when absent. */
  tool?: string;
  step: Step;
  signal: 'SIGKILL' | 'SIGTERM';
  recovery?: RecoveryName;
}

/** The steps that an undisturbed call made. */
export interface TracedSteps {
  plugin: Step[];
  /** By role: which of the call's children it is. */
  tools: ReadonlyMap<string, Step[]>;
}

/**
 * Everything that is to be tried with one call: at each step of the plugin a kill, once for each recovery, and a
 * stopping signal; at each step of each tool a kill.
 */
export const allHits = ({ recoveries = recoveryNames }: FaultRow, steps: TracedSteps): Hit[] => [
  ...steps.plugin.flatMap((step): Hit[] => [
    ...recoveries.map((recovery): Hit => ({ step, signal: 'SIGKILL', recovery })),
    { step, signal: 'SIGTERM' },
  ]),
  ...[...steps.tools].flatMap(([tool, its]) => its.map((step): Hit => ({ tool, step, signal: 'SIGKILL' }))),
];

/** Some of the hits, the same ones for the same seed. */
export const sample = (hits: readonly Hit[], count: number, seed: number): Hit[] => {
  const random = generator(seed);
  const left = [...hits];
  const chosen: Hit[] = [];
  while (chosen.length < count && left.length > 0) {
    chosen.push(...left.splice(Math.floor(random() * left.length), 1));
  }
  return chosen;
};

/** One line for a reader: `SIGKILL at unlink no. 3, then DEL`. */
export const describeHit = ({ tool, step, signal, recovery }: Hit): string =>
  [
    `${signal} at ${step.syscall} no. ${step.n}${tool === undefined ? '' : ` of ${tool}`}`,
    ...(recovery === undefined ? [] : [`then ${recovery}`]),
  ].join(', ');

/** mulberry32: numbers from 0 to 1. */
const generator = (seed: number) => {
  let state = seed >>> 0;
  return (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};
