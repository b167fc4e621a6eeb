import { waitUntil } from '../../support/wait-until.ts';
import { netnsOf, sameFamily } from './cluster.ts';
import type { Lab } from './lab.ts';
import type { LabNode, LabPod } from './node.ts';
import type { Question } from './prober.ts';

/** A place that asks or answers: its namespace, and the addresses that it is reached by. */
export interface Party {
  name: string;
  netns: string;
  addresses: string[];
}

export const podParty = (pod: LabPod): Party => ({
  name: pod.name,
  netns: netnsOf(pod),
  addresses: pod.addresses,
});

export const nodeParty = (node: LabNode): Party => ({
  name: node.name,
  netns: node.host.netnsPath,
  addresses: node.entry.addresses,
});

/** Under which addresses `to` may see `from`, given the address that it is asked at. */
export type SeenAs = (from: Party, to: Party, address: string) => string[];

/** Without NAT: under its own address of that family. */
export const ownAddress: SeenAs = (from, _to, address) => {
  const own = sameFamily(from.addresses, address);
  return own === undefined ? [] : [own];
};

export interface Exchange {
  question: Question;
  /** Like `n1-a → n2-b 10.244.2.3 tcp`. */
  name: string;
  expected: string[];
}

/** Every party of one list with every other of another, at all addresses, by TCP and UDP. */
export const exchanges = (from: Party[], to: Party[], seenAs: SeenAs = ownAddress): Exchange[] =>
  from.flatMap((asker) =>
    to
      .filter(({ netns }) => netns !== asker.netns)
      .flatMap((answerer) =>
        answerer.addresses.flatMap((address) =>
          (['tcp', 'udp'] as const).map((protocol) => ({
            question: { from: asker.netns, to: address, protocol },
            name: `${asker.name} → ${answerer.name} ${address} ${protocol}`,
            expected: seenAs(asker, answerer, address),
          })),
        ),
      ),
  );

/** What went otherwise than expected, a line each; empty when all is well. */
export const faults = async (
  { prober }: Lab,
  exchanged: Exchange[],
  timeoutMs?: number,
): Promise<string[]> => {
  const answers = await prober.ask(
    exchanged.map(({ question }) => question),
    timeoutMs,
  );
  return exchanged.flatMap(({ name, expected }, index) => {
    const answer = answers[index] ?? { failed: 'not asked' };
    if ('failed' in answer) return [`${name}: ${answer.failed}`];
    return expected.includes(answer.seen)
      ? []
      : [`${name}: seen as ${answer.seen}, not ${expected.join(' or ')}`];
  });
};

/** Waits until all of these exchanges go as expected; when they do not, the error names those that fail. */
export const untilReached = async (lab: Lab, exchanged: Exchange[], timeoutMs = 10_000): Promise<void> => {
  if (exchanged.length === 0) throw new Error('there is nobody to reach');
  let last: string[] = [];
  await waitUntil(
    'all reach each other',
    async () => {
      last = await faults(lab, exchanged, 1000);
      return last.length === 0;
    },
    timeoutMs,
  ).catch((error: Error) => {
    throw new Error(`${error.message}\n${last.join('\n')}`);
  });
};
