import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Command } from '../../shared/cni/plugin.ts';
import { formatResult } from '../../shared/cni/result-versions.ts';
import type { JsonObject } from '../../shared/cni/types.ts';
import { testCall } from '../test-call.ts';
import { plugin } from './host-local.ts';

const reference = '/usr/lib/cni/host-local';
const isInstalled = existsSync(reference);
if (!isInstalled) {
  console.warn(
    `skipped: ${reference} is missing; install it with: apt-get install containernetworking-plugins`,
  );
}

let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'podwire-reference-'));
});
afterEach(() => rmSync(dataDir, { recursive: true }));

interface Step {
  command: Command;
  id: string;
  ifname?: string;
  args?: string;
}
type Side = (
  ipam: JsonObject,
  step: Step,
  more?: JsonObject,
) => Promise<{ failed: boolean; output: unknown }>;

const configOf = (ipam: JsonObject, more: JsonObject = {}) => ({
  cniVersion: '1.0.0',
  name: 'testnet',
  type: 'bridge',
  ipam: { type: 'host-local', dataDir, ...ipam },
  ...more,
});

/** Debian's plugin, as a runtime calls it. It needs no netns. */
const theirs: Side = async (ipam, { command, id, ifname = 'eth0', args = '' }, more) => {
  const { exitCode, stdout } = Bun.spawnSync([reference], {
    stdin: Buffer.from(JSON.stringify(configOf(ipam, more))),
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: id,
      CNI_IFNAME: ifname,
      CNI_NETNS: '/run/netns/none-of-that-name',
      CNI_PATH: '/usr/lib/cni',
      CNI_ARGS: args,
    },
  });
  const text = stdout.toString();
  return { failed: exitCode !== 0, output: text === '' ? undefined : JSON.parse(text) };
};

const ours: Side = async (ipam, { command, id, ifname, args }, more) => {
  const call = testCall({
    config: configOf(ipam, more),
    command,
    containerId: id,
    ...(ifname === undefined ? {} : { ifname }),
    ...(args === undefined ? {} : { args }),
  });
  try {
    if (command === 'ADD') return { failed: false, output: formatResult(await plugin.add(call), '1.0.0') };
    await (command === 'DEL' ? plugin.del(call) : plugin.check(call));
    return { failed: false, output: undefined };
  } catch (error) {
    return { failed: true, output: error };
  }
};

/** Everything in the network's directory, byte for byte. */
const directory = () =>
  Object.fromEntries(
    readdirSync(join(dataDir, 'testnet'))
      .sort()
      .map((name) => [name, readFileSync(join(dataDir, 'testnet', name), 'latin1')]),
  );

const pointers = ['last_reserved_ip.0', 'last_reserved_ip.1'];

const dual: JsonObject = {
  ranges: [
    [{ subnet: '10.1.0.0/29' }, { subnet: '10.2.0.0/29', rangeStart: '10.2.0.3', gateway: '10.2.0.4' }],
    [{ subnet: 'FD00:0:0:1::/64', rangeStart: 'fd00:0:0:1::ffff' }],
  ],
  routes: [{ dst: '0.0.0.0/0' }, { dst: 'fd01::/16', gw: 'fd00:0:0:1::9' }],
};
const add = (id: string, more: Partial<Step> = {}): Step => ({ command: 'ADD', id, ...more });
const del = (id: string, more: Partial<Step> = {}): Step => ({ command: 'DEL', id, ...more });

const scripts: [string, JsonObject, Step[], JsonObject?][] = [
  [
    'round robin over the ranges of a set and around',
    dual,
    [
      ...Array.from({ length: 7 }, (_, n) => add(`c${n}`)),
      del('c2'),
      del('c5'),
      add('d1'),
      add('d2'),
      add('d3'),
    ],
  ],
  [
    'several interfaces of one container',
    dual,
    [add('c1'), add('c1', { ifname: 'net1' }), del('c1'), del('c1'), del('c1', { ifname: 'net1' })],
  ],
  [
    'requested in CNI_ARGS',
    dual,
    [
      add('c1', { args: 'IP=10.2.0.5/16' }),
      add('c2'),
      add('c3', { args: 'IP=fd00:0:0:1:1::abcd' }),
      add('c4'),
    ],
  ],
  [
    'requests that fail',
    dual,
    [
      add('c1', { args: 'IP=10.2.0.5' }),
      add('c2', { args: 'IP=10.2.0.5' }),
      add('c3', { args: 'IP=10.1.0.1' }),
      add('c4', { args: 'IP=10.9.0.1' }),
      add('c5', { args: 'IP=garbage' }),
    ],
  ],
  [
    'requested in args and by capability',
    dual,
    [add('c1')],
    {
      args: { cni: { ips: ['10.1.0.5'] } },
      runtimeConfig: { ips: ['fd00:0:0:1::1:2/64'] },
    },
  ],
  [
    'the single range and ranges by capability',
    { subnet: '10.3.0.0/24', rangeStart: '10.3.0.7' },
    [add('c1'), add('c2')],
    {
      runtimeConfig: { ipRanges: [[{ subnet: '10.4.0.0/24' }]] },
    },
  ],
  ['exhausted', { subnet: '10.3.0.0/30' }, [add('c1'), add('c2'), del('c1'), add('c3')]],
  ['wrong configurations', { subnet: '10.3.0.1/24' }, [add('c1')]],
];

/** Messages differ, and our IPAM result has no empty dns. */
const comparable = ({ failed, output }: { failed: boolean; output: unknown }) => {
  if (failed) return 'failed';
  const { ips, routes } = (output ?? {}) as JsonObject;
  return { ips, routes };
};

describe.skipIf(!isInstalled)('beside the reference plugin', () => {
  test.each(scripts)('the same results and the same bytes: %s', async (_, ipam, steps, more) => {
    const run = async (side: Side) => {
      rmSync(join(dataDir, 'testnet'), { recursive: true, force: true });
      const results = [];
      for (const step of steps) results.push(comparable(await side(ipam, step, more)));
      const files = existsSync(join(dataDir, 'testnet')) ? directory() : {};
      // A failed ADD moves the reference's pointers; ours sees beforehand that it would fail.
      if (results.includes('failed')) for (const name of ['lock', ...pointers]) delete files[name];
      return { results, files };
    };
    expect(await run(ours)).toEqual(await run(theirs));
  });

  test('the two take turns on one directory', async () => {
    const expected = new Map<string, string>();
    for (let round = 0; round < 12; round++) {
      const [adder, remover] = round % 2 === 0 ? [ours, theirs] : [theirs, ours];
      const { output } = await adder(dual, add(`c${round}`));
      const { ips } = output as { ips: { address: string }[] };
      for (const { address } of ips) {
        const text = address.replace(/\/.*/, '');
        expect(expected.has(text)).toBe(false);
        expected.set(text, `c${round}\r\neth0`);
      }
      for (const side of [ours, theirs]) {
        expect(await side(dual, { command: 'CHECK', id: `c${round}` })).toMatchObject({ failed: false });
      }
      if (round < 4) continue;
      expect(await remover(dual, del(`c${round - 4}`))).toMatchObject({ failed: false });
      for (const [address, content] of expected)
        if (content.startsWith(`c${round - 4}\r`)) expected.delete(address);
      const files = directory();
      for (const name of ['lock', ...pointers]) delete files[name];
      expect(files).toEqual(Object.fromEntries([...expected].sort()));
    }
  });

  test('ours gives again what theirs gave', async () => {
    const first = await theirs(dual, add('c1'));
    expect(comparable(await ours(dual, add('c1')))).toEqual(comparable(first));
    expect(await theirs(dual, add('c1'))).toMatchObject({ failed: true });
  });

  test('both wait for one lock: at once, no address is given twice', async () => {
    const range: JsonObject = { subnet: '10.5.0.0/24' };
    const spawn = (n: number) =>
      Bun.spawn([reference], {
        stdin: Buffer.from(JSON.stringify(configOf(range))),
        stdout: 'pipe',
        env: {
          CNI_COMMAND: 'ADD',
          CNI_CONTAINERID: `theirs${n}`,
          CNI_IFNAME: 'eth0',
          CNI_PATH: '/usr/lib/cni',
          CNI_NETNS: '/run/netns/none-of-that-name',
        },
      });
    const children = Array.from({ length: 20 }, (_, n) => spawn(n));
    const mine = await Promise.all(Array.from({ length: 20 }, (_, n) => ours(range, add(`ours${n}`))));
    const texts = await Promise.all(children.map((child) => new Response(child.stdout).text()));
    const addresses = [...mine.map(({ output }) => output), ...texts.map((text) => JSON.parse(text))].map(
      (result) => (result as { ips: { address: string }[] }).ips[0]?.address,
    );
    expect(new Set(addresses).size).toBe(40);
  });
});
