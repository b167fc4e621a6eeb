import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { podwireBin, referenceBin } from '../support/binaries.ts';
import { expectDone } from '../support/call-plugin.ts';
import { connectOutside, type Outside } from '../support/links.ts';
import type { Pod } from '../support/pod.ts';
import { leftovers, nothing, type Snapshot, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { ping } from '../support/traffic.ts';
import { allVersions } from './attachment.ts';
import { addChained, attachBefore, attemptChained, type Chained, collect, delChained } from './chained.ts';
import { routesOf } from './kernel-state.ts';

const sbr = { cniVersion: '1.1.0', name: 'second', type: 'sbr' };
const ipam = (...subnets: string[]) => ({
  type: 'host-local',
  ranges: subnets.map((subnet) => [{ subnet }]),
  routes: [{ dst: '192.0.2.0/24' }],
});
const second = { type: 'bridge', bridge: 'cni2', isGateway: true, ipam: ipam('10.52.0.0/24', 'fd52::/64') };

let host: TestHost;
let pod: Pod;
let before: Snapshot;
let first: Chained;
beforeEach(async () => {
  host = await createHost({ name: 'sbr' });
  pod = await host.addPod('pod');
  // The container's first interface has its default routes.
  const network = {
    type: 'bridge',
    bridge: 'cni1',
    isDefaultGateway: true,
    ipam: ipam('10.51.0.0/24', 'fd51::/64'),
  };
  first = await attachBefore(host, pod, { ...sbr, name: 'first' }, { network });
  before = await snapshot(host);
});
afterEach(() => host.dispose());

const attach = (keys: object = {}, network: object = second): Promise<Chained> =>
  attachBefore(host, pod, { ...sbr, ...keys }, { network: network as { type: string }, ifname: 'net1' });
const rules = async (place = pod): Promise<string[]> =>
  (await place.shell('ip -4 rule; ip -6 rule'))
    .split('\n')
    .filter((line) => / lookup \d+/.test(line))
    .map((line) => line.replace(/^\d+:\s+/, '').trim());
const tableOf = async (family: 4 | 6, table: number | 'main', place = pod): Promise<string[]> => {
  const { exitCode, stdout } = await place.attempt([
    'ip',
    `-${family}`,
    'route',
    'show',
    'table',
    String(table),
  ]);
  const lines = exitCode === 0 ? stdout.split('\n').map((line) => line.trim()) : [];
  return lines.filter((line) => / dev net1/.test(line)).toSorted();
};

describe('ADD', () => {
  test.for(allVersions.slice(2))('%s: moves the routes, and passes prevResult on', async (cniVersion) => {
    const chain = await attachBefore(host, pod, { ...sbr, cniVersion }, { network: second, ifname: 'net1' });
    expect(await addChained(chain)).toEqual(chain.network.result);
    expect(await rules()).toEqual(['from 10.52.0.2 lookup 100', 'from fd52::2 lookup 101']);
    expect(await tableOf(4, 100)).toEqual([
      '10.52.0.0/24 dev net1 proto kernel scope link src 10.52.0.2',
      '192.0.2.0/24 via 10.52.0.1 dev net1',
      'default via 10.52.0.1 dev net1',
    ]);
    expect(await tableOf(6, 101)).toEqual([
      'default via fd52::1 dev net1 metric 1024 pref medium',
      'fd52::/64 dev net1 proto kernel metric 256 pref medium',
      expect.stringMatching(/^fe80::\/64 dev net1 proto kernel metric 256/),
    ]);
    expect(await tableOf(4, 'main')).toEqual([]);
    expect(await tableOf(6, 'main')).toEqual([expect.stringMatching(/^fe80::/)]);
    if (cniVersion >= '0.4.0') await chain.chained.check();
    await delChained(chain);
    expect(leftovers(before, await snapshot(host), [/ cni2( |$)/])).toEqual(nothing);
  });

  test('legacy results, which have no interfaces', async () => {
    const network = { type: 'bridge', bridge: 'cni2', isGateway: true, ipam: ipam('10.52.0.0/24') };
    const chain = await attachBefore(host, pod, { ...sbr, cniVersion: '0.2.0' }, { network, ifname: 'net1' });
    expect(await addChained(chain)).toEqual(chain.network.result);
    expect(await rules()).toEqual(['from 10.52.0.2 lookup 100']);
    await delChained(chain);
    expect(await rules()).toEqual([]);
  });

  test('a table of the configuration: rules only', async () => {
    const chain = await attach({ table: 5000 });
    const [v4, v6] = [await routesOf(pod, 4), await routesOf(pod, 6)];
    await addChained(chain);
    expect(await rules()).toEqual(['from 10.52.0.2 lookup 5000', 'from fd52::2 lookup 5000']);
    expect([await routesOf(pod, 4), await routesOf(pod, 6)]).toEqual([v4, v6]);
    await chain.chained.check();
    await chain.chained.del();
    expect(await rules()).toEqual([]);
    expect([await routesOf(pod, 4), await routesOf(pod, 6)]).toEqual([v4, v6]);
  });

  test('two interfaces, tables in use, and gateways of the configuration', async () => {
    await pod.shell(
      'ip rule add from 198.51.100.1 table 100; ip route add 198.51.100.0/24 dev eth0 table 101',
    );
    const chain = await attach({ gateways: ['10.52.0.9', 'fd52::9'] });
    await addChained(chain);
    const third = await attachBefore(
      host,
      pod,
      { ...sbr, name: 'third' },
      {
        network: { type: 'bridge', bridge: 'cni3', isGateway: true, ipam: ipam('10.53.0.0/24') },
        ifname: 'net2',
      },
    );
    await addChained(third);
    expect((await rules()).toSorted()).toEqual([
      'from 10.52.0.2 lookup 102',
      'from 10.53.0.2 lookup 104',
      'from 198.51.100.1 lookup 100',
      'from fd52::2 lookup 103',
    ]);
    expect(await tableOf(4, 102)).toContain('default via 10.52.0.9 dev net1');
    expect(await tableOf(6, 103)).toContain('default via fd52::9 dev net1 metric 1024 pref medium');
    await chain.chained.check();
    await delChained(chain);
    await third.chained.check();
    expect((await rules()).toSorted()).toEqual(['from 10.53.0.2 lookup 104', 'from 198.51.100.1 lookup 100']);
  });

  test('source hints keep the subnets in the main table', async () => {
    const chain = await attach({ addSourceHints: true });
    await addChained(chain);
    expect(await tableOf(4, 'main')).toEqual(['10.52.0.0/24 dev net1 scope link src 10.52.0.2']);
    expect((await tableOf(6, 'main'))[0]).toMatch(/^fd52::\/64 dev net1 src fd52::2 metric 1024/);
    expect(await tableOf(4, 100)).toHaveLength(3);
    await chain.chained.check();
    await pod.exec(['ip', 'route', 'del', '10.52.0.0/24', 'dev', 'net1']);
    expect(await chain.chained.finding()).toContain('no route to 10.52.0.0/24 with the source 10.52.0.2');
  });

  test.for([
    { keys: { table: 0 }, words: '"table" must be a whole number' },
    { keys: { table: 'main' }, words: '"table" must be a whole number' },
    { keys: { gateways: ['10.0.0.1', '10.0.0.2'] }, words: '"gateways" has two of IPv4' },
    { keys: { gateways: ['nobody'] }, words: '"gateways" must be a list of addresses' },
    { keys: { addSourceHints: 'yes' }, words: '"addSourceHints" must be true or false' },
  ])('refuses $keys, and changes nothing', async ({ keys, words }) => {
    const chain = await attach(keys);
    const made = await snapshot(host);
    expect((await attemptChained(chain)).error).toMatchObject({
      code: 7,
      msg: expect.stringContaining(words),
    });
    await chain.chained.del();
    expect(leftovers(made, await snapshot(host))).toEqual(nothing);
  });

  test('refuses to work without prevResult, addresses or an interface, and twice', async () => {
    const chain = await attach();
    const { result } = chain.network;
    const attempt = async (prevResult: object | undefined, code: number, msg: string): Promise<void> => {
      const made = await snapshot(host);
      const outcome = await chain.chained.attempt('ADD', { config: { ...sbr, prevResult } });
      expect(outcome.error).toMatchObject({ code, msg: expect.stringContaining(msg) });
      expect(leftovers(made, await snapshot(host))).toEqual(nothing);
    };
    await attempt(undefined, 7, 'prevResult');
    await attempt({ ...result, ips: [] }, 7, 'no address of "net1"');
    await addChained(chain);
    await attempt(result, 103, 'a rule from 10.52.0.2/32 already, to table 100');
    await pod.exec(['ip', 'link', 'del', 'net1']);
    await attempt(result, 7, 'no interface "net1"');
  });

  test('a gateway that cannot be reached: all is taken back', async () => {
    const chain = await attach({ gateways: ['203.0.113.1'] });
    const made = await snapshot(host);
    const { error } = await attemptChained(chain);
    expect(error).toMatchObject({ code: 100, msg: expect.stringContaining('route add failed') });
    expect(leftovers(made, await snapshot(host))).toEqual(nothing);
  });
});

describe('traffic', () => {
  /** Two ways out of the container, which an outside host each tells apart. */
  const outsides = async (): Promise<Outside[]> =>
    Promise.all(
      ['198.51.100.0/24', '203.0.113.0/24'].map((subnet, index) =>
        connectOutside(host, [subnet, `2001:db8:${index}::/64`], {
          name: `outside${index}`,
          ifname: `out${index}`,
          defaultRoute: true,
        }),
      ),
    );

  test('takes the interface whose address it comes from', async () => {
    const [outside] = await outsides();
    if (outside === undefined) throw new Error('no outside');
    const chain = await attach();
    await addChained(chain);
    // Counted by the bridges: what comes from the second interface's address goes by the second.
    const received = async (bridge: string): Promise<number> =>
      Number(await host.exec(['cat', `/sys/class/net/${bridge}/statistics/rx_packets`]));
    for (const [index, address] of outside.addresses.entries()) {
      const family = index === 0 ? 4 : 6;
      for (const [from, bridge] of [
        [chain.network.address(family), 'cni2'],
        [first.network.address(family), 'cni1'],
      ] as const) {
        const earlier = await received(bridge);
        await pod.exec(['ping', '-n', '-q', '-c', '20', '-i', '0.01', '-W', '2', '-I', from, address]);
        expect(await received(bridge), `${from} by ${bridge}`).toBeGreaterThanOrEqual(earlier + 20);
      }
    }
    // From outside, the answer leaves by the interface that was asked.
    expect(await ping(outside.place, chain.network.address())).toBe(true);
    expect(await ping(outside.place, chain.network.address(6))).toBe(true);
  });
});

describe('CHECK', () => {
  test.for([
    { script: 'ip rule del from 10.52.0.2', found: /rule from 10\.52\.0\.2\/32 is missing/ },
    { script: 'ip -6 rule del from fd52::2', found: /rule from fd52::2\/128 is missing/ },
    { script: 'ip route del default table 100', found: /table 100 has no default route by 10\.52\.0\.1/ },
    { script: 'ip -6 route flush table 101', found: /table 101 has no default route by fd52::1/ },
    { script: 'ip link del net1', found: /interface "net1" is missing/ },
  ])('$script', async ({ script, found }) => {
    const chain = await attach();
    await addChained(chain);
    await chain.chained.check();
    await pod.shell(script);
    expect(await chain.chained.finding()).toMatch(found);
  });

  test("the network plugin's own passes beside it", async () => {
    const chain = await attach();
    await addChained(chain);
    await chain.network.check();
  });
});

describe('DEL', () => {
  test.for([
    { what: 'without prevResult', spoil: 'true', withResult: false },
    { what: 'when the interface is gone', spoil: 'ip link del net1', withResult: true },
    { what: 'when the addresses are gone', spoil: 'ip addr flush dev net1', withResult: true },
    {
      what: 'when the rules are gone',
      spoil: 'ip rule del table 100; ip -6 rule del table 101',
      withResult: false,
    },
  ])('$what, and again', async ({ spoil, withResult }) => {
    const chain = await attach();
    await addChained(chain);
    await pod.shell(`ip rule add from 10.52.0.77 table 100; ${spoil}`.replace('77 table 100', '77 table 99'));
    if (!withResult) chain.chained.result = undefined;
    await chain.chained.del();
    await chain.chained.del();
    // Another's rule stays.
    expect(await rules()).toEqual(['from 10.52.0.77 lookup 99']);
  });

  test('without a netns, and when it is gone', async () => {
    const chain = await attach();
    await addChained(chain);
    await chain.chained.del({ netns: '' });
    expect(await rules()).toHaveLength(2);
    await pod.remove();
    await chain.chained.del();
  });
});

test('GC has nothing to do, and STATUS is content', async () => {
  const chain = await attach();
  await addChained(chain);
  const made = await snapshot(host);
  await collect(host, sbr, []);
  expect(leftovers(made, await snapshot(host))).toEqual(nothing);
  expect(await chain.chained.attempt('STATUS')).toMatchObject({ exitCode: 0, stdout: '', stderr: '' });
});

describe('beside the reference', () => {
  const look = async (place: Pod) => ({
    rules: await rules(place),
    // A table of the reference also has routes of the other family, which no rule leads to.
    tables: [await tableOf(4, 100, place), await tableOf(6, 101, place), await tableOf(4, 'main', place)],
    main6: (await tableOf(6, 'main', place)).filter((line) => !line.startsWith('fe80:')),
  });

  test('the same rules and routes', async () => {
    const looks = [];
    for (const binDir of [podwireBin, referenceBin]) {
      const place = await host.addPod(binDir === podwireBin ? 'ours' : 'theirs');
      const config = { ...sbr, cniVersion: '1.0.0' };
      const chain = await attachBefore(host, place, config, { network: second, ifname: 'net1', binDir });
      const result = await addChained(chain);
      looks.push({ result: result.ips?.length, ...(await look(place)) });
      await delChained(chain);
      await host.shell('rm -rf /var/lib/cni/networks/second');
    }
    expect(looks[0]).toEqual(looks[1]);
  });

  test.for([
    { binDir: podwireBin, later: referenceBin },
    { binDir: referenceBin, later: podwireBin },
  ])('what $binDir added, $later checks and removes', async ({ binDir, later }) => {
    const config = { ...sbr, cniVersion: '1.0.0' };
    const chain = await attachBefore(host, pod, config, { network: second, ifname: 'net1', binDir });
    await addChained(chain);
    expectDone(await chain.chained.attempt('CHECK', { binDir: later }));
    await chain.chained.del({ binDir: later });
    expect(await rules()).toEqual([]);
    await chain.network.del();
    expect(leftovers(before, await snapshot(host), [/ cni2( |$)/])).toEqual(nothing);
  });
});
