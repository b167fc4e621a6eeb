import { closeSync, openSync } from 'node:fs';
import { expect, test } from 'vitest';
import { checked, errno, libc, SystemError } from './libc.ts';

test('a failed call is a SystemError with the name of its errno', () => {
  const call = () => checked(libc().flock(-1, 2), 'locking nothing');
  expect(call).toThrow(new SystemError(9, 'locking nothing'));
  expect(call).toThrow(expect.objectContaining({ code: 'EBADF', message: 'locking nothing: EBADF' }));
  expect(libc().socket(-1, 1, 0)).toBe(-1);
  expect(errno()).toBe(97);
});

test('an unknown errno keeps its number', () => {
  expect(new SystemError(4000, 'x').code).toBe('errno 4000');
});

test('flock holds between two descriptors', () => {
  const [first, second] = [openSync(import.meta.filename, 'r'), openSync(import.meta.filename, 'r')];
  const [exclusive, nonBlocking] = [2, 4];
  expect(libc().flock(first, exclusive | nonBlocking)).toBe(0);
  expect(() => checked(libc().flock(second, exclusive | nonBlocking), 'lock')).toThrow('lock: EAGAIN');
  closeSync(first);
  expect(libc().flock(second, exclusive | nonBlocking)).toBe(0);
  closeSync(second);
});
