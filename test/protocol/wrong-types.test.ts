import { afterAll, beforeAll, expect, test } from 'vitest';
import { leftovers, nothing, type Snapshot, snapshot } from '../support/snapshot.ts';
import type { TestHost } from '../support/test-host.ts';
import { call, createPluginHost, expectError, forAll, networks } from './calls.ts';

let host: TestHost;
let before: Snapshot;
beforeAll(async () => {
  host = await createPluginHost('types');
  await host.addPod('pod');
  before = await snapshot(host);
});
afterAll(() => host.dispose());

// What a key of each type can not be. The tests of shared/cni/fields.ts try every type on every kind of key.
const wrong = {
  boolean: ['true', 1, [], { a: 1 }],
  string: [5, true, ['x'], {}],
  integer: ['5', -1, 1.5, 5e9, true, []],
  address: [5, {}, 'text', '10.0.0', '10.0.0.256', '10.0.0.1/8', 'fe80::1%eth0', '1.2.3.4 '],
  cidr: [5, [], 'text', '', '10.0.0.0', '10.0.0.0/33', 'fd00::/129', '/8'],
  object: ['text', 5, true, ['x'], []],
  objects: ['text', 5, ['x'], [[]], {}],
  strings: ['text', 5, [5], [['a']], {}],
  sets: ['text', 5, {}, [[]], ['x'], [{}], [[5]], [[[]]], [null]],
};

type Row = { plugin: keyof typeof networks; path: string; type: keyof typeof wrong; under?: unknown };

const common: Record<string, keyof typeof wrong> = {
  cniVersion: 'string',
  name: 'string',
  type: 'string',
  args: 'object',
  'args.cni': 'object',
  runtimeConfig: 'object',
  prevResult: 'object',
  'prevResult.interfaces': 'objects',
  'prevResult.interfaces.0.name': 'string',
  'prevResult.interfaces.0.mtu': 'integer',
  'prevResult.ips': 'objects',
  'prevResult.ips.0.address': 'cidr',
  'prevResult.routes.0.dst': 'cidr',
  'prevResult.dns': 'object',
};
const pods: Record<string, keyof typeof wrong> = {
  ipMasq: 'boolean',
  ipMasqBackend: 'string',
  mtu: 'integer',
  dns: 'object',
  'dns.nameservers': 'strings',
  'dns.domain': 'string',
  'dns.search': 'strings',
  'dns.options': 'strings',
  ipam: 'object',
  'ipam.type': 'string',
};
const routes: Record<string, keyof typeof wrong> = {
  ipam: 'object',
  'ipam.routes': 'objects',
  'ipam.routes.0.dst': 'cidr',
  'ipam.routes.0.gw': 'address',
  'ipam.routes.0.mtu': 'integer',
  'ipam.routes.0.advmss': 'integer',
  'ipam.routes.0.priority': 'integer',
  'ipam.routes.0.table': 'integer',
  'ipam.routes.0.scope': 'integer',
};
const keys: Record<string, Record<string, keyof typeof wrong>> = {
  bridge: {
    ...common,
    ...pods,
    bridge: 'string',
    isGateway: 'boolean',
    isDefaultGateway: 'boolean',
    forceAddress: 'boolean',
    hairpinMode: 'boolean',
    promiscMode: 'boolean',
    vlan: 'integer',
    vlanTrunk: 'objects',
    'vlanTrunk.0.id': 'integer',
    'vlanTrunk.0.minID': 'integer',
    'vlanTrunk.0.maxID': 'integer',
    preserveDefaultVlan: 'boolean',
    macspoofchk: 'boolean',
    enabledad: 'boolean',
    disableContainerInterface: 'boolean',
    portIsolation: 'boolean',
    'runtimeConfig.mac': 'string',
    'args.cni.mac': 'string',
  },
  veth: pods,
  'host-local': {
    ...common,
    ...routes,
    'ipam.dataDir': 'string',
    'ipam.resolvConf': 'string',
    'ipam.subnet': 'cidr',
    'ipam.ranges': 'sets',
    'ipam.ranges.0.0.subnet': 'cidr',
    'ipam.ranges.0.0.rangeStart': 'address',
    'ipam.ranges.0.0.rangeEnd': 'address',
    'ipam.ranges.0.0.gateway': 'address',
    'args.cni.ips': 'strings',
    'runtimeConfig.ips': 'strings',
    'runtimeConfig.ipRanges': 'sets',
    'runtimeConfig.ipRanges.0.0.subnet': 'cidr',
  },
  static: {
    ...routes,
    'ipam.addresses': 'objects',
    'ipam.addresses.0.address': 'cidr',
    'ipam.addresses.0.gateway': 'address',
    'ipam.dns': 'object',
    'ipam.dns.nameservers': 'strings',
    'ipam.dns.domain': 'string',
    'args.cni.ips': 'strings',
    'runtimeConfig.ips': 'strings',
  },
  loopback: { prevResult: 'object', 'prevResult.ips': 'objects' },
};
const rows: Row[] = Object.entries(keys).flatMap(([plugin, types]) =>
  Object.entries(types).map(([path, type]) => ({ plugin: plugin as Row['plugin'], path, type })),
);

/** A copy of the configuration with this value at the path; what is missing on the way is made. */
const withValue = (config: object, path: string, value: unknown): object => {
  const copy = structuredClone(config);
  const steps = path.split('.');
  const last = steps.pop() ?? '';
  let at = copy as Record<string, unknown>;
  for (const [index, step] of steps.entries()) {
    at[step] ??= /^\d+$/.test(steps[index + 1] ?? last) ? [] : {};
    at = at[step] as Record<string, unknown>;
  }
  at[last] = value;
  return copy;
};

test.each(Object.keys(keys))('%s refuses a wrong value of every key, by key and value', async (plugin) => {
  const spoiled = rows
    .filter((row) => row.plugin === plugin)
    .flatMap((row) => wrong[row.type].map((value) => ({ ...row, value })));
  await forAll(
    spoiled,
    ({ path, value }) => `${path} = ${JSON.stringify(value)}`,
    async ({ path, value }) => {
      const config = withValue(networks[plugin as Row['plugin']], path, value);
      const error = expectError(await call(host, { plugin, config }), [7, 2, 1]);
      const names = path.split('.').filter((step) => !/^\d+$/.test(step));
      expect(error.msg).toContain(names.at(-1));
      if (value !== '') expect(error.msg).toContain(JSON.stringify(value).slice(0, 40));
    },
    8,
  );
  expect(leftovers(before, await snapshot(host))).toEqual(nothing);
});

test('DEL, GC and STATUS do without a prevResult that can not be read', async () => {
  const spoiled = rows.filter(({ path }) => path.startsWith('prevResult'));
  await forAll(
    spoiled.flatMap((row) => wrong[row.type].slice(0, 1).map((value) => ({ ...row, value }))),
    ({ plugin, path, value }) => `${plugin} ${path} = ${JSON.stringify(value)}`,
    async ({ plugin, path, value }) => {
      const base = { ...networks[plugin], 'cni.dev/valid-attachments': [] };
      const config = withValue(base, path, value);
      for (const command of ['DEL', 'GC', 'STATUS']) {
        const { exitCode, stdout } = await call(host, { plugin, command, config });
        expect(`${command} ${exitCode} ${stdout}`).toBe(`${command} 0 `);
      }
    },
  );
});
