import { describe, expect, test } from 'vitest';
import { testCall } from '../../ipam/test-call.ts';
import { CniError } from '../../shared/cni/errors.ts';
import type { JsonObject } from '../../shared/cni/types.ts';
import { parseVxlanConfig } from './config.ts';
import { anyRanges, withNodeRanges } from './node-ranges.ts';
import { readNodes } from './peers.ts';

const ipam = { type: 'host-local' };
const nodes = [
  { name: 'a', addresses: ['198.51.100.1'], podCIDRs: ['10.244.1.0/24', 'fd00:244:1::/64'] },
  { name: 'b', addresses: ['198.51.100.2'], podCIDRs: ['10.244.2.0/24'] },
];

const parse = (config: JsonObject) =>
  parseVxlanConfig(testCall({ config: { type: 'vxlan', ipam, ...config } }));

describe('a configuration', () => {
  test('has defaults', () => {
    expect(parse({})).toMatchObject({
      overlay: { vni: 1, port: 8472, mode: 'vxlan', underlay: undefined, mtu: undefined },
      peers: { from: 'agent' },
      node: undefined,
      nat: undefined,
      attachment: { by: 'veth', config: { isDefaultGateway: true, ipMasq: false, ipamType: 'host-local' } },
    });
  });

  test('to a bridge has one of its own for each VNI, which is the gateway', () => {
    expect(parse({ attach: 'bridge', vni: 7 }).attachment).toMatchObject({
      by: 'bridge',
      config: { bridge: 'pwbr7', isGateway: true, isDefaultGateway: true },
    });
    expect(parse({ attach: 'bridge', bridge: 'cni0', isGateway: false }).attachment.config).toMatchObject({
      bridge: 'cni0',
      isGateway: false,
      isDefaultGateway: false,
    });
  });

  test.for<[string, JsonObject, unknown]>([
    ['agent', { peers: 'agent' }, { from: 'agent' }],
    ['none', { peers: null }, { from: 'agent' }],
    ['a file', { peers: '/etc/podwire/nodes.json' }, { from: 'file', path: '/etc/podwire/nodes.json' }],
    ['a list', { peers: nodes }, { from: 'config', nodes }],
    ['a file written into the key', { peers: { nodes } }, { from: 'config', nodes: { nodes } }],
  ])('takes its peers from %s', ([, config, peers]) => {
    expect(parse(config).peers).toEqual(peers);
  });

  test('an MTU of 0 is none, and NAT is done for the whole node', () => {
    const { overlay, nat, attachment } = parse({ mtu: 0, ipMasq: true, peers: nodes });
    expect(overlay.mtu).toBe(undefined);
    expect([nat, attachment.config.ipMasq]).toEqual([{ backend: undefined }, false]);
  });

  test.for<[string, JsonObject]>([
    ['"vni"', { vni: 0 }],
    ['"vni"', { vni: 16_777_216 }],
    ['"port"', { port: 65_536 }],
    ['"mode"', { mode: 'ipip' }],
    ['"underlay"', { underlay: 'no/device' }],
    ['"mtu"', { mtu: 100 }],
    ['"attach"', { attach: 'macvlan' }],
    ['"bridge"', { bridge: 'cni0' }],
    ['"peers"', { peers: 'nodes.json' }],
    ['"peers"', { peers: 5 }],
    ['"node"', { node: 5 }],
    ['"ipMasq"', { ipMasq: true }],
    ['"ipam.type"', { ipam: {} }],
    ['"ipam.type"', { ipam: null, attach: 'bridge' }],
  ])('with a wrong %s is refused: %j', ([key, config]) => {
    const error = thrown(() => parse(config));
    expect(error.code).toBe(7);
    expect(error.message).toContain(key);
    expect(error.details).toBeTruthy();
  });
});

describe('the nodes', () => {
  test('are read from the key, and one of them is this one', () => {
    expect(readNodes({ from: 'config', nodes }, 'b').own.podCIDRs).toEqual(['10.244.2.0/24']);
    expect(readNodes({ from: 'config', nodes: { nodes } }, 'a').all).toHaveLength(2);
  });

  test.for<[string, JsonObject[], string | undefined]>([
    ['"node" is "c", which is not among the nodes in peers', nodes, 'c'],
    ['this node is not among those in peers', nodes, undefined],
    [
      'the node "a" in peers has no "podCIDRs"',
      [{ name: 'a', addresses: ['198.51.100.1'], podCIDRs: [] }],
      'a',
    ],
  ])('without this one are refused: %s', ([message, list, node]) => {
    const error = thrown(() => readNodes({ from: 'config', nodes: list }, node));
    expect(error.code).toBe(7);
    expect(error.message).toContain(message);
    expect(error.details).toBeTruthy();
  });

  test('of a file that is not there are asked for', () => {
    const error = thrown(() => readNodes({ from: 'file', path: '/none/nodes.json' }, 'a'));
    expect(error.code).toBe(7);
    expect(error.message).toContain('"/none/nodes.json", which does not exist');
  });
});

describe('the ranges of host-local', () => {
  const ranged = (config: JsonObject, prefixes = ['10.1.0.0/24', 'fd01::/64', '10.2.0.0/24']) => {
    const call = withNodeRanges(testCall({ config: { ipam, ...config } }), prefixes);
    expect(JSON.parse(new TextDecoder().decode(call.stdin))).toEqual(call.config.json);
    return call.config.json.ipam;
  };

  test("are the node's prefixes, a set for each family", () => {
    const ranges = [[{ subnet: '10.1.0.0/24' }, { subnet: '10.2.0.0/24' }], [{ subnet: 'fd01::/64' }]];
    expect(ranged({})).toEqual({ type: 'host-local', ranges });
    expect(ranged({ ipam: { ...ipam, ranges: [], dataDir: '/x' }, runtimeConfig: { ipRanges: [] } })).toEqual(
      {
        type: 'host-local',
        ranges,
        dataDir: '/x',
      },
    );
  });

  test('for a release are any', () => {
    expect(ranged({}, [...anyRanges])).toEqual({
      type: 'host-local',
      ranges: [[{ subnet: '192.0.2.0/24' }]],
    });
  });

  test.for<JsonObject>([
    { ipam: { type: 'host-local', subnet: '10.9.0.0/24' } },
    { ipam: { type: 'host-local', ranges: [[{ subnet: '10.9.0.0/24' }]] } },
    { ipam: { type: 'dhcp' } },
    { ipam: { type: 5 } },
    { ipam, runtimeConfig: { ipRanges: [[{ subnet: '10.9.0.0/24' }]] } },
  ])('that are configured stay: %j', (config) => {
    expect(ranged(config)).toEqual(config.ipam);
  });
});

const thrown = (body: () => unknown): CniError => {
  try {
    body();
  } catch (error) {
    if (error instanceof CniError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
};
