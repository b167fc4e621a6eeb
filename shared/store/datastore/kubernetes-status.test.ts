import fc from 'fast-check';
import { expect, test } from 'vitest';
import { poolStatuses } from './kubernetes-status.ts';

const record = (path: string, value: { pool: string; node: string }) => ({ path, version: '1', value });
const claims = fc.array(
  fc.record({ pool: fc.constantFrom('a', 'b', 'c'), node: fc.constantFrom('n1', 'n2', 'n3') }),
  { maxLength: 20 },
);

test('each pool that has blocks is reported by exactly one node, with all that nodes have', () => {
  fc.assert(
    fc.property(claims, claims, (blocks, addresses) => {
      const view = {
        blocks: blocks.map((value, index) => record(`blocks/b${index}`, value)),
        addresses: addresses.map((value, index) => record(`addresses/a${index}`, value)),
      };
      const reports = ['n1', 'n2', 'n3'].flatMap((node) => [...poolStatuses(node, view)]);
      expect(reports.map(([pool]) => pool).sort()).toEqual(
        [...new Set(blocks.map(({ pool }) => pool))].sort(),
      );
      for (const [name, status] of reports) {
        const own = blocks.filter(({ pool }) => pool === name);
        expect(status).toEqual({
          claimedBlocks: own.length,
          nodes: new Set(own.map(({ node }) => node)).size,
          fixedAddresses: addresses.filter(({ pool }) => pool === name).length,
        });
      }
    }),
  );
});
