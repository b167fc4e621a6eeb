import { existsSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { reservations } from '../plugins/kernel-state.ts';
import { call, createPluginHost, expectError, expectSilent } from '../protocol/calls.ts';
import { referenceBin } from '../support/binaries.ts';
import { skipFor } from '../support/needs.ts';
import { leftovers, nothing, snapshot } from '../support/snapshot.ts';
import type { TestHost } from '../support/test-host.ts';
import { repair } from './repair-call.ts';

/** Five addresses, 10.50.0.2 to 10.50.0.6. */
const network = (plugin: string, name = 'small', subnet = '10.50.0.0/29') => ({
  cniVersion: '1.1.0',
  name,
  type: plugin,
  bridge: 'cni0',
  isGateway: true,
  ipMasq: true,
  ipam: { type: 'host-local', ranges: [[{ subnet }]], routes: [{ dst: '0.0.0.0/0' }] },
});
const capacity = 5;
const letters = ['a', 'b', 'c', 'd', 'e'];

let host: TestHost;
let boots = 0;
beforeEach(async () => {
  host = await createPluginHost('reboot');
  await boot();
});
afterEach(() => host?.dispose());

const boot = async (id = crypto.randomUUID()): Promise<void> => {
  boots += 1;
  const file = `/run/boot-id-${boots}`;
  await host.shell(`echo ${id} >${file}; mount --bind ${file} /proc/sys/kernel/random/boot_id`);
};

/** Takes away what no reboot leaves: namespaces, links, rules, settings; without `tmpfs`, /run stays. */
const reboot = async ({ tmpfs = true } = {}): Promise<void> => {
  const removal = tmpfs
    ? 'for n in $(ls /run/netns); do ip netns del $n; done; rm -rf /run/podwire /run/cni'
    : 'for n in /run/netns/*; do umount $n; done';
  await host.shell(`${removal}
    for l in $(ip -o link show type veth | sed 's/^[0-9]*: //; s/@.*//'); do ip link del $l 2>/dev/null || true; done
    ip link del cni0 2>/dev/null || true
    nft flush ruleset
    sysctl -qw net.ipv4.ip_forward=0`);
  host.pods.length = 0;
  await boot();
};

/** The pod's netns, made anew where a reboot left its path without one. */
const netnsOf = async (name: string): Promise<string> => {
  await host.shell(`mountpoint -q /run/netns/${name} || { rm -f /run/netns/${name}; ip netns add ${name}; }`);
  return `/run/netns/${name}`;
};

const attach = async (plugin: string, name: string, config: object = network(plugin)) =>
  call(host, { plugin, containerId: name, netns: await netnsOf(name), config });

/** ADDs that succeed; the address of each. */
const attachAll = async (plugin: string, names: string[], config?: object): Promise<Map<string, string>> => {
  const addresses = new Map<string, string>();
  for (const name of names) {
    const outcome = await attach(plugin, name, config);
    expectSilent(outcome);
    addresses.set(name, outcome.result?.ips?.[0]?.address ?? '');
  }
  expect(new Set(addresses.values()).size).toBe(names.length);
  return addresses;
};

const holder = async (address: string, name = 'small'): Promise<string> =>
  (await host.exec(['cat', `/var/lib/cni/networks/${name}/${address.replace(/\/.*/, '')}`])).split('\r')[0] ??
  '';

describe.for(['bridge', 'veth'])('%s after a reboot', (plugin) => {
  test('a range that was full is usable again without help, and nobody loses what he has since', async () => {
    await attachAll(plugin, letters);
    expectError(await attach(plugin, 'late'), 102, '10.50.0.0/29'.replace('.0/29', ''));
    for (const round of [1, 2]) {
      await reboot();
      const names = Array.from({ length: capacity }, (_, index) => `new${round}${index}`);
      const given = await attachAll(plugin, names);
      expectError(await attach(plugin, 'late'), 102);
      for (const [name, address] of given) expect(await holder(address)).toBe(name);
      // The last pods of the boot before are forgotten by the runtime; its late DELs free nothing of others.
      for (const containerId of letters) {
        expectSilent(
          await call(host, { plugin, containerId, netns: '', command: 'DEL', config: network(plugin) }),
        );
      }
      expect(await reservations(host, 'small')).toHaveLength(capacity);
    }
  });

  test('a container that comes back keeps its address, and the others fill the rest', async () => {
    const before = await attachAll(plugin, letters);
    await reboot();
    const back = await attachAll(plugin, ['b', 'd']);
    for (const [name, address] of back) expect(address).toBe(before.get(name));
    const fresh = await attachAll(plugin, ['x', 'y', 'z']);
    expectError(await attach(plugin, 'late'), 102);
    for (const [name, address] of [...back, ...fresh]) expect(await holder(address)).toBe(name);
    for (const name of ['b', 'd', 'x', 'y', 'z']) {
      const config = network(plugin);
      expectSilent(
        await call(host, { plugin, containerId: name, netns: `/run/netns/${name}`, command: 'DEL', config }),
      );
    }
    expect(await reservations(host, 'small')).toEqual([]);
  });
});

describe('bridge after a reboot', () => {
  const plugin = 'bridge';

  test('a container whose netns is there again, but not yet its ADD, keeps its reservation', async () => {
    const before = await attachAll(plugin, letters);
    await reboot();
    await netnsOf('c');
    const fresh = await attachAll(plugin, ['w', 'x', 'y', 'z']);
    expectError(await attach(plugin, 'late'), 102);
    expect([...fresh.values()]).not.toContain(before.get('c'));
    expect((await attach(plugin, 'c')).result?.ips?.[0]?.address).toBe(before.get('c'));
  });

  test('a requested address of a pod that did not come back is given', async () => {
    const before = await attachAll(plugin, letters);
    await reboot();
    const address = before.get('e')?.replace(/\/.*/, '');
    const request = { plugin, containerId: 'new', netns: await netnsOf('new'), config: network(plugin) };
    const added = await call(host, { ...request, args: `IP=${address};IgnoreUnknown=1` });
    expect(added.result?.ips?.[0]?.address).toBe(before.get('e'));
    // One that lives is not.
    const other = { ...request, containerId: 'other', ifname: 'eth1' };
    expectError(await call(host, { ...other, args: `IP=${address};IgnoreUnknown=1` }), 102, 'new');
  });

  test('a /run that survived: stale records are in nobody’s way', async () => {
    await attachAll(plugin, letters);
    await reboot({ tmpfs: false });
    const report = await repair(host);
    expect(report).toMatchObject({ exitCode: 0, attachments: 0, repaired: [], failed: [] });
    expect(report.skipped.map(({ containerId, what }) => ({ containerId, what }))).toEqual(
      letters.map((containerId) => ({ containerId, what: 'the pod is gone' })),
    );
    // The same container, another one, a DEL of a third, and a GC of the rest.
    const config = network(plugin);
    const { a } = Object.fromEntries(await attachAll(plugin, ['a']));
    await attachAll(plugin, ['new']);
    expectSilent(
      await call(host, { plugin, containerId: 'c', netns: '/run/netns/c', command: 'DEL', config }),
    );
    const valid = ['a', 'new'].map((containerID) => ({ containerID, ifname: 'eth0' }));
    expectSilent(
      await call(host, { plugin, command: 'GC', config: { ...config, 'cni.dev/valid-attachments': valid } }),
    );
    expect(await reservations(host, 'small')).toHaveLength(2);
    expect((await host.exec(['ls', '/run/podwire/attachments/small'])).trim().split('\n')).toEqual([
      'a.eth0',
      'new.eth0',
    ]);
    expect(await holder(a ?? '')).toBe('a');
    expect(await repair(host)).toMatchObject({ exitCode: 0, attachments: 2, intact: 2, skipped: [] });
  });

  test('where the boot can not be told, nothing is taken from anybody', async () => {
    await attachAll(plugin, letters);
    await reboot();
    await host.exec(['mount', '--bind', '/dev/null', '/proc/sys/kernel/random/boot_id']);
    expectError(await attach(plugin, 'late'), 102);
    expect(await reservations(host, 'small')).toHaveLength(capacity);
    const config = network(plugin);
    expectSilent(await call(host, { plugin, containerId: 'a', netns: '', command: 'DEL', config }));
    await attachAll(plugin, ['late']);
  });
});

test('networks do not free each other’s addresses', async () => {
  const other = network('bridge', 'other', '10.51.0.0/29');
  await attachAll('bridge', letters);
  await attachAll(
    'bridge',
    letters.map((name) => `other-${name}`),
    { ...other, bridge: 'cni1' },
  );
  await reboot();
  const before = await reservations(host, 'other');
  await attachAll('bridge', ['v', 'w', 'x', 'y', 'z']);
  expect(await reservations(host, 'other')).toEqual(before);
});

describe('pods of the reference plugins', () => {
  const lacking = existsSync(`${referenceBin}/bridge`) ? undefined : `no plugins in ${referenceBin}`;
  const reference = { ...network('bridge'), cniVersion: '1.0.0' };
  const attachReference = async (name: string) => {
    const container = { plugin: 'bridge', containerId: name, netns: await netnsOf(name), config: reference };
    return call(host, { ...container, binDir: referenceBin });
  };

  test('of before the reboot, seen by us: their addresses come back; of after it: never taken', async (context) => {
    skipFor(context, lacking);
    for (const name of letters) expect((await attachReference(name)).exitCode).toBe(0);
    // Its files tell no boot: the first call of ours notes the one in which it saw them.
    expectError(await call(host, { plugin: 'bridge', command: 'STATUS', config: network('bridge') }), 50);
    await reboot();
    await attachAll('bridge', ['ours']);
    for (const name of ['x', 'y']) expect((await attachReference(name)).exitCode).toBe(0);
    const rest = await attachAll('bridge', ['p', 'q']);
    expectError(await attach('bridge', 'late'), 102);
    const owners = await Promise.all((await reservations(host, 'small')).map((address) => holder(address)));
    expect(owners.toSorted()).toEqual(['ours', 'p', 'q', 'x', 'y']);
    expect(rest.size).toBe(2);
  });

  test('of before the reboot, never seen by us: kept until the next one proves that they are gone', async (context) => {
    skipFor(context, lacking);
    for (const name of letters) expect((await attachReference(name)).exitCode).toBe(0);
    await reboot();
    expectError(await attach('bridge', 'late'), 102);
    expect(await reservations(host, 'small')).toHaveLength(capacity);
    await reboot();
    await attachAll('bridge', ['ours']);
  });
});

test.each([
  ['ahead', '+1 year'],
  ['back', '-1 year'],
])('a clock that was %s when addresses were given: DEL, GC and the next boot free them', async (_, time) => {
  const config = network('bridge');
  await attachAll('bridge', letters);
  await host.shell(`find /var/lib/cni /run/podwire -exec touch -d '${time}' {} +`);
  const before = await snapshot(host);
  expectError(await attach('bridge', 'late'), 102);
  expect(leftovers(before, await snapshot(host), [/^netns late/, /\.podwire/])).toEqual(nothing);
  expectSilent(
    await call(host, { plugin: 'bridge', containerId: 'a', netns: '/run/netns/a', command: 'DEL', config }),
  );
  const valid = ['b', 'c'].map((containerID) => ({ containerID, ifname: 'eth0' }));
  expectSilent(
    await call(host, {
      plugin: 'bridge',
      command: 'GC',
      config: { ...config, 'cni.dev/valid-attachments': valid },
    }),
  );
  expect(await reservations(host, 'small')).toHaveLength(2);
  expect(await repair(host)).toMatchObject({ attachments: 2, intact: 2, skipped: [] });
  await attachAll('bridge', ['x', 'y', 'z']);
  await host.shell(`find /var/lib/cni -exec touch -d '${time}' {} +`);
  expectError(await attach('bridge', 'late'), 102);
  await reboot();
  const given = await attachAll('bridge', ['p', 'q', 'r', 's', 't']);
  for (const [name, address] of given) expect(await holder(address)).toBe(name);
});
