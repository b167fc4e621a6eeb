import fc from 'fast-check';
import { expect, test } from 'vitest';
import { changePlan, mergeEntries } from './change.ts';
import { planOverlay } from './plan.ts';
import { type OverlayNode, overlayDefaults, overlayModes, type Underlay } from './types.ts';

const underlay: Underlay = {
  ...{ device: 'eth0', index: 2, mtu: 1500, address: '198.51.100.1' },
  subnets: ['198.51.100.1/24'],
};
const own: OverlayNode = { name: 'n0', addresses: ['198.51.100.1'], podCIDRs: ['10.0.0.0/24'] };

const node = (name: number): fc.Arbitrary<OverlayNode> =>
  fc.record({
    name: fc.constant(`n${name}`),
    addresses: fc.uniqueArray(
      fc.oneof(
        fc.integer({ min: 1, max: 250 }).map((n) => `198.51.100.${n}`),
        fc.integer({ min: 1, max: 250 }).map((n) => `192.0.2.${n}`),
        fc.constantFrom('2001:db8::7', '10.0.3.9'),
      ),
      { minLength: 1, maxLength: 2 },
    ),
    podCIDRs: fc.uniqueArray(
      fc.oneof(
        { weight: 9, arbitrary: fc.nat(60).map((n) => `10.0.${n}.0/24`) },
        { weight: 5, arbitrary: fc.nat(60).map((n) => `fd00:0:0:${n.toString(16)}::/64`) },
        { weight: 1, arbitrary: fc.constantFrom('10.0.16.0/20', '198.51.100.0/28') },
      ),
      { maxLength: 2 },
    ),
    podAddresses: fc.uniqueArray(
      fc.oneof(
        { weight: 9, arbitrary: fc.tuple(fc.nat(60), fc.nat(3)).map(([n, m]) => `10.0.${n}.${m}/32`) },
        { weight: 3, arbitrary: fc.nat(9).map((n) => `fd00::${n.toString(16)}:1/128`) },
        { weight: 1, arbitrary: fc.integer({ min: 1, max: 250 }).map((n) => `198.51.100.${n}/32`) },
      ),
      { maxLength: 2 },
    ),
  });

const cluster = fc
  .uniqueArray(fc.integer({ min: 0, max: 9 }), { maxLength: 8 })
  .chain((names) => fc.tuple(...names.map(node)));

test('a plan for a change is the plan made anew, or none', () => {
  let changed = 0;
  fc.assert(
    fc.property(cluster, cluster, fc.constantFrom(...overlayModes), (before, after, mode) => {
      const settings = { ...overlayDefaults, mode, underlay: undefined, mtu: undefined };
      const known = planOverlay(own, before, settings, underlay);
      const former = new Map(before.map((one) => [one.name, one]));
      const change = changePlan(known, former, own, after, underlay);
      if (change === undefined) return;
      changed += 1;
      const anew = planOverlay(own, after, settings, underlay);
      const { entries: _, chosen, ...rest } = change.plan;
      mergeEntries(known.entries, change);
      const { entries, chosen: allChosen, ...all } = anew;
      expect(rest).toEqual(all);
      expect([...chosen.keys()].sort()).toEqual([...allChosen.keys()].sort());
      expect(known.entries).toEqual(entries);
    }),
    { numRuns: 3000 },
  );
  expect(changed).toBeGreaterThan(100);
});
