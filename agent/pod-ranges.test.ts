import { expect, test } from 'vitest';
import { PodRanges } from './pod-ranges.ts';

const nodes = (...prefixes: string[]) =>
  prefixes.map((prefix) => ({ name: prefix, addresses: [], podCIDRs: [prefix] }));

test('what joins is excluded before, what leaves until after', () => {
  const first = new PodRanges(nodes('10.244.0.0/24', '10.244.1.0/24', 'fd00::/64'));
  expect(first.withFormer).toEqual(['10.244.0.0/23', 'fd00::/64']);
  expect(first.aggregated).toEqual(first.withFormer);
  expect(first.joined.size).toBe(3);

  const same = new PodRanges(nodes('fd00::/64', '10.244.1.0/24', '10.244.0.0/24'), first);
  expect([same.joined.size, same.left.size]).toEqual([0, 0]);
  expect(same.aggregated).toEqual(first.aggregated);

  const joined = new PodRanges(nodes('10.244.0.0/24', '10.244.1.0/24', '10.244.2.0/23', 'fd00::/64'), same);
  expect([...joined.joined]).toEqual(['10.244.2.0/23']);
  expect(joined.withFormer).toEqual(['10.244.0.0/22', 'fd00::/64']);

  const moved = new PodRanges(nodes('10.244.0.0/24', '10.244.2.0/23', '10.9.0.0/24'), joined);
  expect([...moved.left]).toEqual(['10.244.1.0/24', 'fd00::/64']);
  expect(moved.withFormer).toEqual(['10.9.0.0/24', '10.244.0.0/22', 'fd00::/64']);
  expect(moved.aggregated).toEqual(['10.9.0.0/24', '10.244.0.0/24', '10.244.2.0/23']);
});
