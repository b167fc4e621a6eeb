import { setTimeout as sleep } from 'node:timers/promises';
import { leftovers, type Snapshot, snapshot } from '../../support/snapshot.ts';
import { deleteAttachment } from './delete-attachment.ts';
import { expectedFacts, type Facts } from './facts.ts';
import type { Model } from './model.ts';
import { observedFacts } from './observed-facts.ts';
import type { Random } from './random.ts';
import type { Run } from './run.ts';

/** The kernel takes the links of a netns away some time after it is gone. */
const settleMs = 5_000;

/**
 * While nothing runs: addresses in the kernel, reservations on disk, elements and rules of the packet
 * filter, links and records are exactly those of the attachments that are present; no address is there
 * twice; and what was on the host before (`before`), other plugins' pods among it, is as it was. Every
 * other time what killed calls left is deleted first, so that not even that is excused.
 */
export const checkInvariants = async (run: Run, before: Snapshot, random: Random): Promise<void> => {
  if (random.chance(0.5)) await settleTorn(run);
  const { model, statistics } = run;
  const present = model.attachments.filter(({ state }) => state === 'present').length;
  statistics.mostAttachments = Math.max(statistics.mostAttachments, present);
  const deadline = performance.now() + settleMs;
  for (;;) {
    const violation = firstViolation(model, before, await snapshot(run.host));
    if (violation === undefined) break;
    if (performance.now() > deadline)
      throw run.failure(`at a quiet point: ${violation.text}`, aboutOwner(violation.owner));
    await sleep(100);
  }
  statistics.invariantChecks += 1;
};

/** DELs of everything that a killed or failed call may have left. */
const settleTorn = async (run: Run): Promise<void> => {
  const torn = run.model.attachments.filter(({ state }) => state === 'torn');
  for (const attachment of torn) await deleteAttachment(run, attachment);
};

interface Violation {
  text: string;
  owner: string;
}

const firstViolation = (model: Model, before: Snapshot, now: Snapshot): Violation | undefined => {
  const expected = expectedFacts(model);
  const observed = observedFacts(model, now);
  for (const [fact, owner] of expected) {
    if (!observed.has(fact)) return { text: `missing: ${fact}`, owner };
  }
  const torn = model.attachments.filter(({ state }) => state === 'torn').map(({ name }) => name);
  for (const [fact, owner] of observed) {
    const isTrace = torn.some((name) => name === owner || name.startsWith(`${owner} `) || owner === '');
    if (!expected.has(fact) && !isTrace) return { text: `left over or not to be there: ${fact}`, owner };
  }
  const twice = duplicateAddress(observed);
  if (twice !== undefined) return { text: `an address is there twice: ${twice}`, owner: '' };
  const [lost] = leftovers(before, now).removed;
  return lost === undefined
    ? undefined
    : { text: `something of others is gone or changed: ${lost}`, owner: '' };
};

const duplicateAddress = (observed: Facts): string | undefined => {
  const seen = new Map<string, string>();
  for (const fact of observed.keys()) {
    const address = /^address (\S+) on \S+ in \S+$/.exec(fact)?.[1];
    if (address === undefined) continue;
    const other = seen.get(address);
    if (other !== undefined) return `${other}; ${fact}`;
    seen.set(address, fact);
  }
  return undefined;
};

const aboutOwner = (owner: string): { containerId?: string; network?: string } => {
  const [network, containerId] = owner.split(' ');
  return {
    ...(network ? { network } : {}),
    ...(containerId === undefined ? {} : { containerId }),
  };
};
