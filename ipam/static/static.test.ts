import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { formatResult } from '../../shared/cni/result-versions.ts';
import type { JsonObject } from '../../shared/cni/types.ts';
import { type TestCall, testCall } from '../test-call.ts';
import { plugin } from './static.ts';

const addresses = [{ address: '10.1.0.5/16', gateway: '10.1.0.1' }, { address: 'FD00:0::5/64' }];
const call = (ipam: JsonObject, more: JsonObject = {}, rest: Partial<TestCall> = {}) =>
  testCall({ ...rest, config: { ipam: { type: 'static', ...ipam }, ...more } });
const add = (ipam: JsonObject, more?: JsonObject, args = '') => plugin.add(call(ipam, more, { args }));
const ips = async (...parameters: Parameters<typeof add>) => (await add(...parameters)).ips;

test('ADD gives what is configured', async () => {
  const routes = [{ dst: '0.0.0.0/0' }, { dst: '192.0.2.0/24', gw: '10.1.0.9', mtu: 1400, priority: 5 }];
  const dns = { nameservers: ['10.1.0.1'], domain: 'a.example', search: ['b.example'], options: ['ndots:5'] };
  expect(await add({ addresses, routes, dns })).toEqual({
    interfaces: [],
    ips: [{ address: '10.1.0.5/16', gateway: '10.1.0.1' }, { address: 'fd00::5/64' }],
    routes,
    dns,
  });
  expect(await ips({})).toEqual([]);
});

test('IP in CNI_ARGS adds to the configured addresses, and GATEWAY serves those it added', async () => {
  expect(
    await ips(
      { addresses: [{ address: '10.1.0.5/16' }] },
      {},
      'IP=10.1.0.6/16, fd00::6/64;GATEWAY=10.1.0.1,fd00::1',
    ),
  ).toEqual([
    { address: '10.1.0.5/16' },
    { address: '10.1.0.6/16', gateway: '10.1.0.1' },
    { address: 'fd00::6/64', gateway: 'fd00::1' },
  ]);
});

test('args.cni.ips replace these, and runtimeConfig.ips replace all', async () => {
  const args = { cni: { ips: ['10.1.0.7/16'] } };
  expect(await ips({ addresses }, { args }, 'IP=10.1.0.6/16')).toEqual([{ address: '10.1.0.7/16' }]);
  const runtimeConfig = { ips: ['10.1.0.8/16', 'fd00::8/64'] };
  expect(await ips({ addresses }, { args, runtimeConfig }, 'IP=10.1.0.6/16')).toEqual([
    { address: '10.1.0.8/16' },
    { address: 'fd00::8/64' },
  ]);
});

const wrong: [string, JsonObject, JsonObject, string, number, string][] = [
  [
    'an address without length',
    { addresses: [{ address: '10.1.0.5' }] },
    {},
    '',
    7,
    '"ipam.addresses[0].address"',
  ],
  ['a missing address', { addresses: [{ gateway: '10.1.0.1' }] }, {}, '', 7, '"ipam.addresses[0].address"'],
  [
    'a wrong gateway',
    { addresses: [{ address: '10.1.0.5/16', gateway: 'x' }] },
    {},
    '',
    7,
    '"ipam.addresses[0].gateway"',
  ],
  ['addresses of the wrong type', { addresses: 'x' }, {}, '', 7, '"ipam.addresses"'],
  [
    'a wrong capability',
    { addresses },
    { runtimeConfig: { ips: ['10.1.0.5'] } },
    '',
    7,
    '"runtimeConfig.ips"',
  ],
  ['wrong args', { addresses }, { args: { cni: { ips: [5] } } }, '', 7, '"args.cni.ips"'],
  ['IP without length', { addresses }, {}, 'IP=10.1.0.5', 4, 'IP must hold'],
  ['a wrong GATEWAY', { addresses }, {}, 'IP=10.1.0.6/16;GATEWAY=10.1', 4, 'GATEWAY must hold'],
  ['a wrong route', { addresses, routes: [{ dst: 'x' }] }, {}, '', 7, '"ipam.routes[0].dst"'],
  [
    'two of a family in 0.2.0',
    { addresses: [...addresses, { address: '10.1.0.6/16' }] },
    { cniVersion: '0.2.0' },
    '',
    7,
    '"cniVersion"',
  ],
];

test.each(wrong)('%s is refused, by STATUS too', (_, ipam, more, args, code, message) => {
  const error = expect.objectContaining({ code, message: expect.stringContaining(message) });
  expect(() => plugin.add(call(ipam, more, { args }))).toThrow(error);
  expect(() =>
    plugin.status(call(ipam, { ...more, cniVersion: more.cniVersion ?? '1.1.0' }, { args })),
  ).toThrow(error);
});

test('CHECK compares addresses and gateways with prevResult', () => {
  const check = (...given: JsonObject[]) =>
    plugin.check(
      call({ addresses }, { prevResult: { cniVersion: '1.1.0', ips: given } }, { command: 'CHECK' }),
    );
  const v4 = { address: '10.1.0.5/16', gateway: '10.1.0.1' };
  const v6 = { address: 'fd00::5/64', gateway: 'fd00::1' };
  check(v4, v6, { address: '192.0.2.9/24' });
  const refused = (problem: string) =>
    expect.objectContaining({ code: 105, message: expect.stringContaining(problem) });
  expect(() => check(v4)).toThrow(refused('prevResult lacks fd00::5'));
  expect(() => check({ ...v4, gateway: '10.1.0.2' }, v6)).toThrow(
    refused('has the gateway 10.1.0.2 for 10.1.0.5, not 10.1.0.1'),
  );
  expect(() => check({ address: '10.1.0.5/16' }, v6)).toThrow(refused('has the gateway (none)'));
  expect(() => plugin.check(call({ addresses }, {}, { command: 'CHECK' }))).toThrow(
    expect.objectContaining({ code: 7 }),
  );
});

test('DEL, GC and STATUS of a valid configuration have nothing to do', () => {
  expect(plugin.del(call({ addresses: 'nonsense' }, {}, { command: 'DEL' }))).toBeUndefined();
  expect(plugin.gc(call({ addresses }, {}, { command: 'GC' }), [])).toBeUndefined();
  expect(plugin.status(call({ addresses }, {}, { command: 'STATUS' }))).toBeUndefined();
});

const reference = '/usr/lib/cni/static';
const isInstalled = existsSync(reference);
if (!isInstalled) {
  console.warn(
    `partly skipped: ${reference} is missing; install it with: apt-get install containernetworking-plugins`,
  );
}

describe.skipIf(!isInstalled)('beside the reference plugin', () => {
  const cases: [string, JsonObject, JsonObject, string][] = [
    ['configured', { addresses, routes: [{ dst: '0.0.0.0/0' }], dns: { nameservers: ['10.1.0.1'] } }, {}, ''],
    ['no address', {}, {}, ''],
    ['CNI_ARGS', { addresses }, {}, 'IP=10.1.0.6/16,fd00::6/64;GATEWAY=10.1.0.1,fd00::1,10.9.0.1'],
    [
      'all sources',
      { addresses },
      { args: { cni: { ips: ['10.1.0.7/16'] } }, runtimeConfig: { ips: ['10.1.0.8/16'] } },
      'IP=10.1.0.6/16',
    ],
    ['args', { addresses }, { args: { cni: { ips: ['10.1.0.7/16'] } } }, 'IP=10.1.0.6/16'],
  ];
  test.each(cases)('the same result: %s', async (_, ipam, more, args) => {
    const given = call(ipam, { cniVersion: '1.0.0', ...more }, { args });
    const { exitCode, stdout } = Bun.spawnSync([reference], {
      stdin: given.stdin,
      env: {
        CNI_COMMAND: 'ADD',
        CNI_CONTAINERID: 'c1',
        CNI_IFNAME: 'eth0',
        CNI_NETNS: '/run/netns/none-of-that-name',
        CNI_PATH: '/usr/lib/cni',
        CNI_ARGS: args,
      },
    });
    const theirs = JSON.parse(stdout.toString());
    expect(exitCode).toBe(0);
    const ours = formatResult(await plugin.add(given), '1.0.0');
    expect({ dns: {}, ...ours }).toEqual(theirs);
  });
});
