import { type Datastore, DatastoreError } from '../../../shared/store/datastore/datastore.ts';
import type { Random } from './random.ts';

/** What may befall a call to the datastore, with how many of 1,000 it does. */
const perThousand = {
  /** It never left the node. */
  cut: 25,
  /** It was done, and the answer was lost. */
  answerLost: 40,
  /** The caller gave up, and the write is done later all the same. */
  late: 25,
  /** The node's process dies: before the call, while it is under way, or with the answer not yet looked at. */
  death: 2,
};
const longestDelayMs = 4;
const longestLatenessMs = 400;

/** The datastore as nodes reach it over a bad network, in processes that die; good as soon as `isCalm` says so. */
export const throughFaults = (
  datastore: Datastore,
  random: Random,
  { isCalm, mayDie }: { isCalm: () => boolean; mayDie: boolean },
): Datastore => {
  const call = async <T>(isWrite: boolean, run: () => Promise<T>): Promise<T> => {
    if (isCalm()) return run();
    let lot = random() * 1000;
    const drawn = (chance: number): boolean => {
      lot -= chance;
      return lot < 0;
    };
    if (mayDie && drawn(perThousand.death)) return die(random, run);
    if (drawn(perThousand.cut)) throw lost('the node is cut off');
    await Bun.sleep(random() * longestDelayMs);
    if (isWrite && drawn(perThousand.late)) {
      void Bun.sleep(random() * longestLatenessMs)
        .then(run)
        .catch(() => {});
      throw lost('nothing was heard');
    }
    const result = await run();
    if (isWrite && drawn(perThousand.answerLost)) throw lost('the answer was lost');
    return result;
  };
  return {
    ...datastore,
    close: () => {},
    get: (path, options) => call(false, () => datastore.get(path, options)),
    list: (prefix, options) => call(false, () => datastore.list(prefix, options)),
    create: (path, value, options) => call(true, () => datastore.create(path, value, options)),
    replace: (known, value, options) => call(true, () => datastore.replace(known, value, options)),
    remove: (known, options) => call(true, () => datastore.remove(known, options)),
  };
};

const lost = (message: string): DatastoreError => new DatastoreError('unavailable', message);

const die = async (random: Random, run: () => Promise<unknown>): Promise<never> => {
  const moment = random();
  if (moment > 0.33) {
    const running = run().catch(() => {});
    await (moment > 0.66 ? running : Bun.sleep(random() * 3));
  }
  process.kill(process.pid, 'SIGKILL');
  return new Promise(() => {});
};
