import { expect, test } from 'vitest';
import type { Reservation } from './record.ts';
import { isLocalFileSystem, isStale } from './stale.ts';

const made = (bootId: string, netns?: string): Reservation => ({
  containerId: 'c1',
  ifname: 'eth0',
  address: '10.1.0.5',
  identity: '1:2',
  bootId,
  ...(netns === undefined ? {} : { netns }),
});

test.each([
  ['this boot, netns gone', made('now', '/run/netns/gone-for-good'), false],
  ['earlier boot, netns gone', made('before', '/run/netns/gone-for-good'), true],
  ['earlier boot, netns path below a file', made('before', '/etc/hostname/netns'), true],
  ['earlier boot, netns path is a file without a netns', made('before', '/etc/hostname'), true],
  ['earlier boot, netns path exists', made('before', '/proc/self/ns/net'), false],
  [
    'earlier boot, netns of a process id that exists again',
    made('before', `/proc/${process.pid}/ns/net`),
    true,
  ],
  ['earlier boot, seen first there', made('before'), true],
  ['this boot, seen first now', made('now'), false],
  ['boot unknown', made('', '/run/netns/gone-for-good'), false],
])('%s', (_, reservation, stale) => {
  expect(isStale(reservation, 'now')).toBe(stale);
});

test('nothing is stale where the current boot is unknown', () => {
  expect(isStale(made('before', '/run/netns/gone-for-good'), '')).toBe(false);
});

test('proc is not a file system to keep reservations on, the temporary directory is', () => {
  expect(isLocalFileSystem('/proc')).toBe(false);
  expect(isLocalFileSystem('/no/such/directory')).toBe(false);
  expect(isLocalFileSystem('/tmp')).toBe(true);
});
