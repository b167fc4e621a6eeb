import { describe, expect, test } from 'vitest';
import { CniError } from '../cni/errors.ts';
import { parseOverlayNode, parseOverlayNodes, parseOverlayNodesFile, sortOutOverlayNodes } from './nodes.ts';

const node = (n: number, changes: object = {}) => ({
  name: `n${n}`,
  addresses: [`198.51.100.${n}`],
  podCIDRs: [`10.244.${n}.0/24`, `fd00:244:${n}::/64`],
  ...changes,
});

const refusal = (body: () => unknown): string => {
  try {
    body();
  } catch (error) {
    if (error instanceof CniError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'accepted';
};

describe('a list of nodes', () => {
  test('is read with canonical addresses', () => {
    const value = [node(1, { addresses: ['2001:DB8::0:1', '198.51.100.1', '2001:db8::1'] }), node(2)];
    expect(parseOverlayNodes(value, 'peers')).toEqual([
      {
        name: 'n1',
        addresses: ['2001:db8::1', '198.51.100.1'],
        podCIDRs: ['10.244.1.0/24', 'fd00:244:1::/64'],
      },
      node(2),
    ]);
  });

  test('may have nodes without pod prefixes, which get one later', () => {
    expect(parseOverlayNodes([node(1, { podCIDRs: [] })], 'peers')[0]?.podCIDRs).toEqual([]);
  });

  test.for<[string, unknown, string]>([
    ['no list', { n1: {} }, '"peers" must be a list of nodes, got {"n1":{}}'],
    ['no object', ['n1'], '"peers[0]" must be an object, got "n1"'],
    ['no name', [{}], '"peers[0].name" must be 1 to 253 letters, digits, ".", "_" and "-", got nothing'],
    [
      'a bad name',
      [node(1, { name: 'a b' })],
      '"peers[0].name" must be 1 to 253 letters, digits, ".", "_" and "-", got "a b"',
    ],
    [
      'no addresses',
      [node(1, { addresses: [] })],
      '"peers[0].addresses" must have at least one address, got []',
    ],
    [
      'addresses of wrong type',
      [node(1, { addresses: 'x' })],
      '"peers[0].addresses" must be a list, got "x"',
    ],
    [
      'a bad address',
      [node(1, { addresses: ['198.51.100'] })],
      '"peers[0].addresses[0]" must be an IP address, got "198.51.100"',
    ],
    [
      'a loopback address',
      [node(1, { addresses: ['127.0.0.1'] })],
      '"peers[0].addresses[0]" must be an address that other nodes can reach, not a loopback address (127.0.0.0/8), got "127.0.0.1"',
    ],
    [
      'no prefixes',
      [node(1, { podCIDRs: undefined })],
      '"peers[0].podCIDRs" must be a list of strings, got nothing',
    ],
    [
      'a prefix without length',
      [node(1, { podCIDRs: ['10.244.1.0'] })],
      '"peers[0].podCIDRs[0]" must be a prefix such as 10.244.1.0/24, got "10.244.1.0"',
    ],
    [
      'host bits',
      [node(1, { podCIDRs: ['10.244.1.5/24'] })],
      '"peers[0].podCIDRs[0]" must be a network address such as 10.244.1.0/24, got "10.244.1.5/24"',
    ],
    [
      'all addresses',
      [node(1, { podCIDRs: ['0.0.0.0/0'] })],
      '"peers[0].podCIDRs[0]" must be a range of addresses for pods, without an unspecified address (0.0.0.0/8), got "0.0.0.0/0"',
    ],
    ['a name twice', [node(1), node(2, { name: 'n1' })], '"peers[1].name" is "n1", as is "peers[0].name"'],
    [
      'an overlap',
      [node(1), node(2, { podCIDRs: ['10.244.0.0/16'] })],
      '"peers[1].podCIDRs[0]" of the node "n2" is 10.244.0.0/16, which overlaps 10.244.1.0/24 of the node "n1" ("peers[0].podCIDRs[0]")',
    ],
    [
      'an overlap within a node',
      [node(1, { podCIDRs: ['10.244.0.0/16', '10.244.9.0/24'] })],
      '"peers[0].podCIDRs[1]" of the node "n1" is 10.244.9.0/24, which overlaps 10.244.0.0/16 of the node "n1" ("peers[0].podCIDRs[0]")',
    ],
  ])('with %s is refused by name', ([, value, message]) => {
    expect(refusal(() => parseOverlayNodes(value, 'peers'))).toBe(`7: invalid configuration: ${message}`);
  });
});

test('a registry leaves out what is wrong, and goes on', () => {
  const { nodes, refused } = sortOutOverlayNodes(
    [node(1), { name: 'n2' }, node(3, { name: 'n1' }), node(4)],
    'nodes',
  );
  expect(nodes.map(({ name }) => name)).toEqual(['n1', 'n4']);
  expect(refused).toEqual([
    'invalid configuration: "nodes[1].addresses" must be a list of strings, got nothing',
    'invalid configuration: "nodes[2].name" is "n1", as is "nodes[0].name"',
  ]);
});

test('a file has a key "nodes"', () => {
  expect(parseOverlayNodesFile(JSON.stringify({ nodes: [node(1)] }), 'f.json')).toEqual([node(1)]);
  expect(refusal(() => parseOverlayNodesFile('{', 'f.json'))).toMatch(/^6: f.json is not valid JSON: /);
  expect(refusal(() => parseOverlayNodesFile('[]', 'f.json'))).toBe('7: f.json has no list "nodes", got []');
  expect(refusal(() => parseOverlayNodesFile('{"nodes":[3]}', 'f.json'))).toBe(
    '7: invalid configuration: "f.json: nodes[0]" must be an object, got 3',
  );
});

test('one node is read alike', () => {
  expect(parseOverlayNode(node(1), 'the node')).toEqual(node(1));
});
