import { expect, test } from 'vitest';
import type { OverlayNode } from '../../shared/overlay/types.ts';
import type { StoredRecord } from '../../shared/store/datastore/datastore.ts';
import { PodRoutes } from './pod-routes.ts';

const node = (n: number, podCIDRs = [`10.244.${n}.0/24`]): OverlayNode => ({
  ...{ name: `n${n}`, addresses: [`198.51.100.${n}`], podCIDRs },
});
const record = (path: string, value: Record<string, string | boolean>): StoredRecord => ({
  ...{ path, version: '1', value: { network: 'podwire', ...value } },
});
const block = (cidr: string, on: string, network = 'podwire') =>
  record(`blocks/${cidr}`, { cidr, node: on, network });
const address = (text: string, on: string, more: Record<string, string | boolean> = { containerId: 'c' }) =>
  record(`addresses/${text}`, { address: text, node: on, ...more });
const routes = (blocksNameVteps = false) => new PodRoutes({ network: 'podwire', blocksNameVteps });

test('blocks are prefixes of their node, addresses only where its own block does not contain them', () => {
  const { nodes, refused } = routes().nodes([node(1), node(2)], {
    blocks: [block('10.77.0.64/26', 'n1'), block('10.77.0.0/26', 'n1'), block('10.77.1.0/26', 'n2')],
    addresses: [address('10.77.0.5', 'n2'), address('10.77.0.6', 'n1'), address('10.77.9.9', 'n1')],
  });
  expect(nodes).toEqual([
    { ...node(1, ['10.244.1.0/24', '10.77.0.0/26', '10.77.0.64/26']), podAddresses: ['10.77.9.9/32'] },
    { ...node(2, ['10.244.2.0/24', '10.77.1.0/26']), podAddresses: ['10.77.0.5/32'] },
  ]);
  expect(refused).toEqual([]);
});

test('what is kept, pending, of another network or of no known node has no route', () => {
  const { nodes } = routes().nodes([node(1)], {
    blocks: [block('10.77.0.0/26', 'n1', 'other'), block('10.77.0.64/26', 'gone'), block('nonsense', 'n1')],
    addresses: [
      address('10.77.9.1', 'n1', {}),
      address('10.77.9.2', 'n1', { containerId: 'c', isPending: true }),
      address('10.77.9.3', 'n1', { containerId: 'c', network: 'other' }),
      address('nonsense', 'n1'),
    ],
  });
  expect(nodes).toEqual([node(1)]);
});

test('without a prefix of the family in the registry, blocks need to name the VTEP', () => {
  const view = { blocks: [block('fd00:77::/122', 'n1'), block('10.77.0.0/26', 'n1')], addresses: [] };
  const { nodes, refused } = routes().nodes([node(1)], view);
  expect(nodes[0]?.podCIDRs).toEqual(['10.244.1.0/24', '10.77.0.0/26']);
  expect(refused).toEqual([
    expect.stringContaining('block fd00:77::/122 of node "n1": its VTEP needs an address'),
  ]);
  const all = routes(true).nodes([node(1, [])], view);
  expect(all.nodes[0]?.podCIDRs.toSorted()).toEqual(['10.77.0.0/26', 'fd00:77::/122']);
  expect(all.refused).toEqual([]);
});

test('a node that did not change is the same object', () => {
  const composer = routes();
  const [one, two] = [node(1), node(2)];
  const before = composer.nodes([one, two], { blocks: [block('10.77.0.0/26', 'n1')], addresses: [] }).nodes;
  const after = composer.nodes([one, two], {
    blocks: [block('10.77.0.0/26', 'n1'), block('10.77.1.0/26', 'n2')],
    addresses: [],
  }).nodes;
  expect(after[0]).toBe(before[0]);
  expect(after[1]).not.toBe(before[1]);
});
