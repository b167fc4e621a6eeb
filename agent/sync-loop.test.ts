import { expect, test } from 'vitest';
import { createBackoff } from './backoff.ts';
import { type SyncCause, SyncLoop } from './sync-loop.ts';

test('pauses double up to the longest, each with its random part', () => {
  const randoms = [0.5, 0, 0.999, 0.5, 0.5, 0.5];
  const backoff = createBackoff(100, 500, () => randoms.shift() ?? 0.5);
  expect([1, 2, 3, 4, 5].map(() => Math.round(backoff.next()))).toEqual([100, 100, 600, 500, 500]);
  backoff.reset();
  expect(backoff.next()).toBe(100);
});

interface Run {
  loop: SyncLoop;
  /** What each sync is to answer, when it has begun. */
  begun: (() => Promise<(done: boolean) => void>) & { count: number };
  causes: SyncCause[];
  end(): Promise<void>;
}

const start = (intervalMs: number, backoffMs: number): Run => {
  const waiting: ((answer: (done: boolean) => void) => void)[] = [];
  const answers: ((done: boolean) => void)[] = [];
  const begun = Object.assign(
    () =>
      new Promise<(done: boolean) => void>((resolve) => {
        const answer = answers.shift();
        if (answer === undefined) waiting.push(resolve);
        else resolve(answer);
      }),
    { count: 0 },
  );
  const causes: SyncCause[] = [];
  const sync = (cause: SyncCause): Promise<boolean> => {
    causes.push(cause);
    begun.count += 1;
    return new Promise((resolve) => {
      const waiter = waiting.shift();
      if (waiter === undefined) answers.push(resolve);
      else waiter(resolve);
    });
  };
  const abort = new AbortController();
  const loop = new SyncLoop({ sync, intervalMs, backoff: createBackoff(backoffMs, backoffMs) });
  const running = loop.run(abort.signal);
  return {
    loop,
    begun,
    causes,
    end: () => {
      abort.abort();
      for (const answer of answers) answer(true);
      return running;
    },
  };
};

const never = 3_600_000;

test('requests at once become one sync, and one during a sync leads to another', async () => {
  const { loop, begun, end } = start(never, never);
  for (let count = 0; count < 10; count++) loop.request('nodes');
  const finish = await begun();
  expect(begun.count).toBe(1);
  loop.request('nodes');
  loop.request('nodes');
  finish(true);
  (await begun())(true);
  expect(begun.count).toBe(2);
  await end();
  expect(begun.count).toBe(2);
});

test('without a request it syncs after the interval, and again', async () => {
  const { begun, causes, end } = start(10, never);
  (await begun())(true);
  (await begun())(true);
  await end();
  expect(causes).toEqual(['kernel', 'kernel']);
});

test('after a failure it tries again, long before the interval ends', async () => {
  const { loop, begun, causes, end } = start(never, 10);
  loop.request('nodes');
  (await begun())(false);
  (await begun())(true);
  await end();
  expect(causes).toEqual(['nodes', 'kernel']);
});

test('it ends when told, after the sync that runs', async () => {
  const { loop, begun, end } = start(never, never);
  loop.request('nodes');
  const finish = await begun();
  let ended = false;
  const running = end().then(() => {
    ended = true;
  });
  await Promise.resolve();
  expect(ended).toBe(false);
  finish(true);
  await running;
});

test('of several causes, the kernel wins: a look at all of it finds the new nodes, too', async () => {
  const { loop, begun, causes, end } = start(never, never);
  loop.request('kernel');
  loop.request('nodes');
  (await begun())(true);
  loop.request('nodes');
  (await begun())(true);
  await end();
  expect(causes).toEqual(['kernel', 'nodes']);
});
