import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Address, formatAddress, parseAddress } from '../../kernel/address-math.ts';
import { DiskIndex } from './disk-index.ts';
import { MemoryIndex } from './memory-index.ts';
import type { Reservation } from './record.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'podwire-index-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const emptyIndex = (): DiskIndex => {
  rmSync(directory, { recursive: true });
  const index = new DiskIndex(directory);
  index.replace({ reservations: new Map(), used: [] });
  return index;
};

const reservationOf = (address: Address, container: number): Reservation => ({
  containerId: `c${container}`,
  ifname: 'eth0',
  address: formatAddress(address),
  identity: '1:2',
  bootId: 'boot',
});

/** Around the border of two blocks, where mistakes would be. */
const base = 0x0a00fff0n;
const address = fc.integer({ min: 0, max: 31 }).map((n): Address => ({ family: 4, value: base + BigInt(n) }));
const step = fc.record({ address, container: fc.integer({ min: 0, max: 3 }) });

const byAddress = (a: Reservation, b: Reservation) => (a.address < b.address ? -1 : 1);

test('the index on disk answers as the one in memory does, whatever is added and removed', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const disk = emptyIndex();
      const memory = new MemoryIndex({ reservations: new Map(), used: [] });
      for (const { address, container } of steps) {
        const existing = memory.all().find((one) => one.address === formatAddress(address));
        for (const index of [disk, memory]) {
          if (existing === undefined) index.add(reservationOf(address, container));
          else index.remove(existing);
        }
        const span = { family: 4 as const, first: base, last: base + 31n };
        // A second reader, without what the first one remembers.
        for (const index of [disk, new DiskIndex(directory)]) {
          expect(index.firstFree(span)).toBe(memory.firstFree(span));
          for (const limit of [1, 5, 32])
            expect(index.countFree(span, limit)).toBe(memory.countFree(span, limit));
          expect(index.countFree(span, 99) + index.countUsed(span)).toBe(32);
          expect(index.all().sort(byAddress)).toEqual(memory.all().sort(byAddress));
          const owner = { containerId: `c${container}`, ifname: 'eth0' };
          expect(index.ownedBy(owner).sort(byAddress)).toEqual(memory.ownedBy(owner).sort(byAddress));
        }
      }
    }),
    { numRuns: 40 },
  );
});

test('a rebuilt index holds what was found and nothing of before', () => {
  const old = emptyIndex();
  old.add(reservationOf({ family: 4, value: 0x0a000001n }, 1));
  old.add(reservationOf({ family: 4, value: 0x0b000001n }, 2));
  const kept = reservationOf({ family: 4, value: 0x0c000005n }, 3);
  const nameless = parseAddress('12.0.0.4') as Address;
  new DiskIndex(directory).replace({
    reservations: new Map([[kept.address, kept]]),
    used: [parseAddress(kept.address) as Address, nameless],
  });
  const index = new DiskIndex(directory);
  expect(index.all()).toEqual([kept]);
  expect(index.firstFree({ family: 4, first: 0x0c000004n, last: 0x0c000009n })).toBe(0x0c000006n);
  expect(index.firstFree({ family: 4, first: 0x0a000001n, last: 0x0a000009n })).toBe(0x0a000001n);
  expect(readdirSync(join(directory, 'used'))).toEqual(['4-c00']);
});

test('a run of used addresses over several blocks is crossed', () => {
  const first = 0x0a000005n;
  const used = Array.from({ length: 140_000 }, (_, n): Address => ({ family: 4, value: first + BigInt(n) }));
  new DiskIndex(directory).replace({ reservations: new Map(), used });
  const index = new DiskIndex(directory);
  expect(index.firstFree({ family: 4, first, last: first + 200_000n })).toBe(first + 140_000n);
  expect(index.firstFree({ family: 4, first, last: first + 139_999n })).toBeUndefined();
  expect(index.firstFree({ family: 4, first: first - 1n, last: first + 5n })).toBe(first - 1n);
});

test('addresses far apart in a large IPv6 range cost little space', () => {
  const index = emptyIndex();
  for (const text of ['fd00::1:ffff', 'fd00:0:0:7::ffff', 'fd00::ffff:0:0:ffff']) {
    index.add(reservationOf(parseAddress(text) as Address, 1));
  }
  const blocks = readdirSync(join(directory, 'used')).map((name) => statSync(join(directory, 'used', name)));
  expect(blocks).toHaveLength(3);
  expect(blocks.reduce((sum, { blocks: sectors }) => sum + sectors * 512, 0)).toBeLessThan(64 * 1024);
  const value = parseAddress('fd00::1:ffff')?.value ?? 0n;
  expect(index.firstFree({ family: 6, first: value, last: value + (1n << 60n) })).toBe(value + 1n);
});
