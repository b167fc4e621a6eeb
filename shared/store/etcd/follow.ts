import { CniError } from '../../cni/errors.ts';
import type { EtcdClient, EtcdRange } from './client.ts';
import { paused } from './pause.ts';
import type { WatchHandlers } from './watch.ts';

export interface FollowHandlers extends WatchHandlers {
  /**
   * All there is: at first, and after a gap in what could be told. `isAnother`: the store is not the one that was
   * listed before, but was restored or made anew.
   */
  listed(range: EtcdRange, isAnother: boolean): void;
}

/** Some thousand keys are some MB. */
const listDeadlineMs = 20_000;

/** Tells of all keys with a prefix and of their changes, until `signal` is aborted, through failures. */
export const followPrefix = async (
  client: EtcdClient,
  prefix: string,
  handlers: FollowHandlers,
  signal: AbortSignal,
): Promise<void> => {
  let reached: { clusterId: string; revision: bigint } | undefined;
  let told = '';
  let failures = 0;
  while (!signal.aborted) {
    try {
      const range = await client.range(prefix, { signal, deadlineMs: listDeadlineMs });
      const isAnother =
        reached !== undefined && (range.clusterId !== reached.clusterId || range.revision < reached.revision);
      const position = { clusterId: range.clusterId, revision: range.revision };
      reached = position;
      told = '';
      handlers.listed(range, isAnother);
      const events: WatchHandlers['events'] = (changes) => {
        position.revision = changes.at(-1)?.entry.modRevision ?? position.revision;
        failures = 0;
        handlers.events(changes);
      };
      await client.watch(prefix, range.revision + 1n, { ...handlers, events }, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof CniError)) throw error;
      if (error.message !== told) handlers.trouble(error);
      told = error.message;
    }
    await paused(Math.min(5000, 100 * 2 ** failures) * (0.5 + Math.random()), signal);
    failures++;
  }
};
