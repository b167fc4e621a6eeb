import { setTimeout as sleep } from 'node:timers/promises';
import { keptBridge, leftovers, nothing, type Snapshot, snapshot } from '../../support/snapshot.ts';
import { checkInvariants } from './check-invariants.ts';
import { deleteAttachment, undisturbed } from './delete-attachment.ts';
import type { Network } from './model.ts';
import type { Random } from './random.ts';
import type { Run } from './run.ts';

/** What networks keep for their next pod: bridges, and host-local's template for a reservation. */
const kept = [...[0, 1, 2, 3, 4].flatMap((n) => keptBridge(`soak${n}`)), /\/\.podwire\/[^/]+\/new /];

/** Takes everything away, by DELs or by a GC with an empty list, after which the host is as at the start. */
export const finish = async (run: Run, before: Snapshot, random: Random): Promise<void> => {
  for (const network of run.model.networks) {
    if (random.chance(0.5)) await collectAll(run, network);
    else {
      const left = run.model.attachmentsOf(network).filter(({ state }) => state !== 'absent');
      for (const attachment of left) await deleteAttachment(run, attachment);
    }
  }
  await checkInvariants(run, before, random);
  for (const { pod } of run.model.containers) await pod?.remove();
  const deadline = performance.now() + 5_000;
  for (;;) {
    const left = leftovers(before, await snapshot(run.host), kept);
    if (JSON.stringify(left) === JSON.stringify(nothing)) return;
    if (performance.now() > deadline)
      throw run.failure(`in the end, the host is not as at the start: ${JSON.stringify(left, null, 1)}`, {});
    await sleep(100);
  }
};

const collectAll = async (run: Run, network: Network): Promise<void> => {
  const { spec } = network;
  const config = { ...spec.config, 'cni.dev/valid-attachments': [] };
  await undisturbed(run, (random) => run.call(random, { command: 'GC', config }, { network: spec.name }, []));
  for (const attachment of run.model.attachmentsOf(network))
    Object.assign(attachment, { state: 'absent', result: undefined });
};
