import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { withLock } from './lock.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'podwire-lock-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test('the lock is made with its directory, and what the body returns comes back', async () => {
  const file = join(directory, 'deep', 'er', 'lock');
  expect(await withLock(file, () => 42)).toBe(42);
  expect(existsSync(file)).toBe(true);
});

test('of 200 at once only one is inside, and all get their turn', async () => {
  const file = join(directory, 'lock');
  let inside = 0;
  let most = 0;
  let done = 0;
  const enter = () =>
    withLock(file, async () => {
      inside++;
      most = Math.max(most, inside);
      await pause(0);
      inside--;
      done++;
    });
  await Promise.all(Array.from({ length: 200 }, enter));
  expect({ most, done }).toEqual({ most: 1, done: 200 });
});

test('the deadline is kept, and the error names the file and the holder', async () => {
  const file = join(directory, 'lock');
  const { promise, resolve: release } = Promise.withResolvers<void>();
  const held = withLock(file, () => promise);
  const start = performance.now();
  await expect(withLock(file, () => 0, { deadlineMs: 60 })).rejects.toMatchObject({
    code: 11,
    message: expect.stringContaining(file),
    details: expect.stringContaining(`Process ${process.pid} `),
  });
  expect(performance.now() - start).toBeGreaterThanOrEqual(59);
  release();
  await held;
  expect(await withLock(file, () => 'free', { deadlineMs: 60 })).toBe('free');
});

test('an error in the body frees the lock', async () => {
  const file = join(directory, 'lock');
  const failing = withLock(file, () => {
    throw new Error('inside');
  });
  await expect(failing).rejects.toThrow('inside');
  expect(await withLock(file, () => 'free', { deadlineMs: 0 })).toBe('free');
});

test('an interrupted call stops waiting', async () => {
  const file = join(directory, 'lock');
  const { promise, resolve: release } = Promise.withResolvers<void>();
  const held = withLock(file, () => promise);
  const checkpoint = async () => {
    throw new Error('interrupted');
  };
  await expect(withLock(file, () => 0, { checkpoint })).rejects.toThrow('interrupted');
  release();
  await held;
});

test('a lock that cannot be made is an I/O error', async () => {
  writeFileSync(join(directory, 'file'), '');
  await expect(withLock(join(directory, 'file', 'lock'), () => 0)).rejects.toMatchObject({ code: 5 });
});
