import { expect, test } from 'vitest';
import { allHits, describeHit, sample } from './plan.ts';
import { rows } from './rows.ts';

const [row] = rows;
if (row === undefined) throw new Error('there are rows');
const steps = {
  plugin: [
    { syscall: 'read', n: 2 },
    { syscall: 'unlink', n: 1 },
  ],
  tools: new Map([['ip-host-1', [{ syscall: 'sendmsg', n: 4 }]]]),
};

test('each step is hit with each signal and each recovery, each step of a tool once', () => {
  expect(allHits({ ...row, recoveries: ['DEL', 'GC'] }, steps).map(describeHit)).toEqual([
    'SIGKILL at read no. 2, then DEL',
    'SIGKILL at read no. 2, then GC',
    'SIGTERM at read no. 2',
    'SIGKILL at unlink no. 1, then DEL',
    'SIGKILL at unlink no. 1, then GC',
    'SIGTERM at unlink no. 1',
    'SIGKILL at sendmsg no. 4 of ip-host-1',
  ]);
});

test('a sample is the same for the same seed, another for another, and has nothing twice', () => {
  const hits = allHits(row, steps);
  const chosen = sample(hits, 5, 1);
  expect(chosen).toHaveLength(5);
  expect(new Set(chosen).size).toBe(5);
  expect(sample(hits, 5, 1)).toEqual(chosen);
  expect(Array.from({ length: 5 }, (_, seed) => sample(hits, 5, seed + 2))).not.toContainEqual(chosen);
  expect(sample(hits, 500, 1)).toHaveLength(hits.length);
});

test('rows have names of their own', () => {
  const titles = rows.map(({ title }) => title);
  expect(new Set(titles).size).toBe(titles.length);
});
