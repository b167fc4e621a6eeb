import type { Contention, Course } from './contend.ts';

/** A run in a sentence, with the seed. */
export const describeCourse = (
  { nodes, addresses, processes, seed }: Contention,
  { adds, dels, deaths, restarts, interrupted, failed, exhausted, moves, returned, seconds }: Course,
): string =>
  `${nodes} nodes in ${processes} processes, ${addresses} addresses, seed ${seed}: ${adds} ADDs and ${dels} DELs answered in ` +
  `${seconds.toFixed(1)} s; processes died ${deaths} times under ${interrupted} calls, the datastore was killed ${restarts} times, ` +
  `${failed} calls failed and were made again (${exhausted} found all blocks claimed), sticky pods moved ${moves} times, ` +
  `${returned} blocks were returned`;
