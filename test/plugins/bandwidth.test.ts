import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { podwireBin, referenceBin } from '../support/binaries.ts';
import { requireKernel, requireTool } from '../support/needs.ts';
import type { Pod } from '../support/pod.ts';
import { systemPath } from '../support/process.ts';
import { leftovers, nothing, type Snapshot, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { ping } from '../support/traffic.ts';
import { waitUntil } from '../support/wait-until.ts';
import { allVersions } from './attachment.ts';
import { addChained, attachBefore, attemptChained, type Chained, collect, delChained } from './chained.ts';
import { linkNames } from './kernel-state.ts';

const rates = {
  ingressRate: 8_000_000,
  ingressBurst: 800_000,
  egressRate: 16_000_000,
  egressBurst: 1_600_000,
};
const bandwidth = { cniVersion: '1.1.0', name: 'limited', type: 'bandwidth' };
const config = { ...bandwidth, ...rates };
const subnets = { unshapedSubnets: ['10.0.0.0/8', 'fd00::/20'] };

let host: TestHost;
let pod: Pod;
let before: Snapshot;
beforeEach(async (context) => {
  requireTool(context, 'tc');
  requireKernel(context, 'ifb');
  host = await createHost({ name: 'bandwidth' });
  pod = await host.addPod('pod');
  before = await snapshot(host);
});
afterEach(() => host?.dispose());

const left = async (since: Snapshot): Promise<unknown> => leftovers(since, await snapshot(host));
const qdiscs = async (): Promise<string[]> =>
  (await snapshot(host))
    .filter((line) => line.startsWith('qdisc '))
    .map((line) => line.replace(/ dev \S+/, ''));

describe('ADD', () => {
  test.for(allVersions.slice(2))(
    '%s: adds the ifb to the result and changes nothing else in it',
    async (cniVersion) => {
      const chain = await attachBefore(host, pod, { ...config, cniVersion });
      const { interfaces = [], ...rest } = await addChained(chain);
      const { interfaces: given = [], ...others } = chain.network.result ?? { cniVersion };
      expect(rest).toEqual(others);
      expect(interfaces.slice(0, -1)).toEqual(given);
      const ifb = interfaces.at(-1);
      expect(Object.keys(ifb ?? {})).toEqual(['name', 'mac']);
      expect(await host.exec(['cat', `/sys/class/net/${ifb?.name}/address`])).toBe(`${ifb?.mac}\n`);
      await delChained(chain);
      expect(await left(before)).toEqual(nothing);
    },
  );

  test.for([
    { what: 'nothing is asked', keys: {} },
    { what: 'the rates are 0', keys: { ingressRate: 0, ingressBurst: 0, egressRate: 0 } },
    { what: 'the runtime asks nothing', keys: { runtimeConfig: { bandwidth: {} } } },
    {
      what: 'the configuration says no limit and the runtime one',
      keys: { egressRate: 0, runtimeConfig: { bandwidth: { ingressRate: 1e6, ingressBurst: 1e6 } } },
    },
    { what: 'only subnets are given', keys: subnets },
  ])('passes prevResult on when $what', async ({ keys }) => {
    const chain = await attachBefore(host, pod, { ...bandwidth, ...keys });
    const made = await snapshot(host);
    expect(await addChained(chain)).toEqual(chain.network.result);
    expect(await left(made)).toEqual(nothing);
    await chain.chained.check();
    await chain.chained.del();
    expect(await left(made)).toEqual(nothing);
  });

  test('a limit to the container only needs no ifb', async () => {
    const chain = await attachBefore(host, pod, { ...bandwidth, ingressRate: 8_000_000 });
    expect(await addChained(chain)).toEqual(chain.network.result);
    // The default burst: what the rate lets through in 10 ms is less than ten frames.
    expect(await qdiscs()).toEqual([
      expect.stringMatching(/^qdisc tbf 1: root .* rate 8Mbit burst 151(39|40)b/),
    ]);
    await chain.chained.check();
    await delChained(chain);
    expect(await left(before)).toEqual(nothing);
  });

  test('rates of the runtime, with subnets of the configuration', async () => {
    const runtimeConfig = { bandwidth: { egressRate: 1e9, egressBurst: 2 ** 31 - 1 } };
    const chain = await attachBefore(host, pod, {
      ...bandwidth,
      runtimeConfig,
      shapedSubnets: ['0.0.0.0/0'],
    });
    await addChained(chain);
    expect(await qdiscs()).toEqual([
      expect.stringMatching(/^qdisc ingress /),
      expect.stringMatching(/^qdisc tbf 1: root .* rate 1Gbit burst 1250000b/),
    ]);
    await chain.chained.check();
    expect(await ping(pod, '10.42.0.1')).toBe(true);
    await delChained(chain);
    expect(await left(before)).toEqual(nothing);
  });

  test('bursts beyond what the kernel counts', async () => {
    const keys = { ingressRate: 8e9, ingressBurst: 64e9, egressRate: 8000, egressBurst: 8 * (2 ** 32 - 1) };
    const chain = await attachBefore(host, pod, { ...bandwidth, ...keys });
    await addChained(chain);
    await chain.chained.check();
    await delChained(chain);
    expect(await left(before)).toEqual(nothing);
  });

  test('two interfaces of one container in one network have an ifb each', async () => {
    const first = await attachBefore(host, pod, config);
    const { containerId } = first.network;
    const second = await attachBefore(host, pod, config, { ifname: 'net1', containerId });
    await addChained(first);
    const result = await addChained(second);
    expect(result.interfaces?.at(-1)?.name).not.toBe(first.chained.result?.interfaces?.at(-1)?.name);
    await first.chained.check();
    await second.chained.check();
    await delChained(first);
    await second.chained.check();
    await delChained(second);
    expect(await left(before)).toEqual(nothing);
  });
});

describe('ADD refuses, and leaves everything as it was', () => {
  const refused = async (chain: Chained, code: number, ...words: (string | RegExp)[]): Promise<void> => {
    const made = await snapshot(host);
    const { error, exitCode } = await attemptChained(chain);
    expect(error, `exit code ${exitCode}`).toMatchObject({ code });
    for (const word of words) expect(error?.msg).toMatch(word);
    expect(await left(made)).toEqual(nothing);
    // The runtime's DEL of what was refused must succeed, whatever the configuration.
    await chain.chained.del();
  };

  test.for([
    { keys: { ingressBurst: 8000 }, words: '"ingressBurst" needs "ingressRate"' },
    { keys: { egressRate: 0, egressBurst: 1 }, words: '"egressBurst" needs "egressRate"' },
    {
      keys: { runtimeConfig: { bandwidth: { egressBurst: 1 } } },
      words: 'runtimeConfig.bandwidth.egressBurst',
    },
    { keys: { ingressRate: -1 }, words: '"ingressRate" must be a whole number' },
    { keys: { ingressRate: 1.5 }, words: '"ingressRate" must be a whole number' },
    { keys: { ingressRate: '1M' }, words: '"ingressRate" must be a whole number' },
    { keys: { ingressRate: 7 }, words: '"ingressRate" must be at least 8' },
    {
      keys: { ...rates, unshapedSubnets: ['10.0.0.0'] },
      words: '"unshapedSubnets" must be a list of subnets',
    },
    { keys: { ...rates, shapedSubnets: 'fd00::/8' }, words: '"shapedSubnets" must be a list' },
    { keys: { ...rates, ...subnets, shapedSubnets: ['fd00::/8'] }, words: 'cannot be combined' },
  ])('$words: $keys', async ({ keys, words }) => {
    await refused(await attachBefore(host, pod, { ...bandwidth, ...keys }), 7, words);
  });

  test('a call without prevResult', async () => {
    const chain = await attachBefore(host, pod, config);
    chain.network.result = undefined;
    await refused(chain, 7, 'prevResult');
  });

  test('an interface that is missing, or no veth', async () => {
    const chain = await attachBefore(host, pod, config);
    await pod.exec(['ip', 'link', 'del', 'eth0']);
    await refused(chain, 7, 'no interface "eth0"');
    await pod.exec(['ip', 'link', 'add', 'eth0', 'type', 'bridge']);
    await refused(chain, 7, /"eth0" is no veth .*bridge/);
  });

  test('a veth that prevResult does not list', async () => {
    const chain = await attachBefore(host, pod, config);
    const { interfaces = [], ...rest } = chain.network.result ?? { cniVersion: '1.1.0' };
    chain.network.result = { ...rest, interfaces: interfaces.filter(({ sandbox }) => sandbox) };
    await refused(chain, 7, /does not list "veth/);
  });

  test('a version that has no interfaces in results', async () => {
    const chain = await attachBefore(host, pod, config);
    const { error } = await attemptChained(chain, { config: { ...config, cniVersion: '0.2.0' } });
    expect(error).toMatchObject({ code: 1 });
  });

  test('an attachment that is limited already; the first stays', async () => {
    const chain = await attachBefore(host, pod, config);
    await addChained(chain);
    const { error } = await attemptChained(chain);
    expect(error).toMatchObject({ code: 103, msg: expect.stringContaining('already') });
    await chain.chained.check();
  });

  test.for([
    { what: 'queueing discipline', script: 'tc qdisc add dev $P root pfifo', words: '"pfifo"' },
    {
      what: 'filter',
      script:
        'tc qdisc add dev $P clsact; tc filter add dev $P ingress protocol ip u32 match u32 0 0 flowid 1:1',
      words: 'a filter (u32) in "clsact"',
    },
  ])("a $what of somebody else's", async ({ script, words }) => {
    const chain = await attachBefore(host, pod, config);
    await host.shell(script.replaceAll('$P', chain.network.port));
    await refused(chain, 103, words);
  });

  test("works beside somebody else's empty clsact, and leaves that", async () => {
    const chain = await attachBefore(host, pod, config);
    await host.exec(['tc', 'qdisc', 'add', 'dev', chain.network.port, 'clsact']);
    const made = await snapshot(host);
    await addChained(chain);
    await chain.chained.check();
    await chain.chained.del();
    expect(await left(made)).toEqual(nothing);
  });
});

describe('CHECK', () => {
  const damages = [
    {
      script: 'tc qdisc del dev $P root',
      found: /"veth\w+" sends to the container: there is no token bucket/,
    },
    {
      script: 'tc qdisc change dev $P root tbf rate 9mbit burst 100000 limit 125000',
      found: /rate is 9000000 bits/,
    },
    {
      script: 'tc qdisc change dev $P root tbf rate 8mbit burst 50000 limit 125000',
      found: /burst or the queue/,
    },
    {
      script: 'tc qdisc change dev $P root tbf rate 8mbit burst 100000 limit 225000',
      found: /burst or the queue/,
    },
    {
      script: 'tc qdisc del dev $P ingress',
      found: /"veth\w+" to the ifb "bwp\w+": 1 of 1 filters are missing/,
    },
    { script: 'tc filter del dev $P parent ffff:', found: /1 of 1 filters are missing/ },
    { script: 'ip link del $I', found: /the ifb "bwp\w+" is missing.*filters are missing/ },
    { script: 'ip link set $I down', found: /the ifb "bwp\w+" is down/ },
    { script: 'ip link del $I; ip link add $I type bridge', found: /"bwp\w+" is no ifb/ },
    { script: 'tc qdisc del dev $I root', found: /container sends by "bwp\w+": there is no token bucket/ },
    {
      script: 'tc qdisc change dev $I root tbf rate 8mbit burst 200000 limit 250000',
      found: /rate is 8000000 bits/,
    },
    { keys: subnets, script: 'tc qdisc del dev $P root', found: /there is no htb/ },
    { keys: subnets, script: 'tc filter del dev $P parent 1: prio 1', found: /1 of 2 filters are missing/ },
    {
      keys: subnets,
      script: 'tc filter del dev $P parent ffff: prio 3',
      found: /1 of 3 filters are missing/,
    },
    {
      keys: subnets,
      script:
        'tc class change dev $P classid 1:30 htb rate 8mbit ceil 10mbit burst 100000 cburst 100000 quantum 1514',
      found: /rate is 10000000 bits/,
    },
    {
      keys: subnets,
      script: 'tc qdisc del dev $P root; tc qdisc add dev $P root handle 1: htb default 31',
      found: /class with the limit is missing/,
    },
    {
      keys: subnets,
      script: `tc qdisc del dev $P root; tc qdisc add dev $P root handle 1: htb default 31
        tc class add dev $P parent 1: classid 1:30 htb rate 8mbit burst 100000 cburst 100000 quantum 1514`,
      found: /class for other subnets/,
    },
    { keys: subnets, script: 'tc qdisc del dev $P parent 1:30', found: /queue of the class is missing/ },
  ];
  test.for(damages)('$script $keys', async ({ keys, script, found }) => {
    const chain = await attachBefore(host, pod, { ...config, ...keys });
    const ifb = (await addChained(chain)).interfaces?.at(-1)?.name ?? '';
    await chain.chained.check();
    await host.shell(script.replaceAll('$P', chain.network.port).replaceAll('$I', ifb));
    expect(await chain.chained.finding()).toMatch(found);
    await delChained(chain);
    await host.attempt(['ip', 'link', 'del', ifb]);
    expect(await left(before)).toEqual(nothing);
  });

  test('another configuration than that of ADD', async () => {
    const chain = await attachBefore(host, pod, config);
    await addChained(chain);
    const other = { ...config, ingressRate: 9_000_000, prevResult: chain.chained.result };
    const { error } = await chain.chained.attempt('CHECK', { config: other });
    expect(error).toMatchObject({
      code: 105,
      msg: expect.stringContaining('8000000 bits per second, not 9000000'),
    });
  });

  test('an MTU that was changed since, from which the burst follows', async () => {
    const chain = await attachBefore(host, pod, { ...bandwidth, ingressRate: 8_000_000 });
    await addChained(chain);
    await host.exec(['ip', 'link', 'set', chain.network.port, 'mtu', '1400']);
    await chain.chained.check();
  });
});

describe('DEL', () => {
  const ways: { what: string; spoil?: string; options?: { netns?: string }; withResult?: boolean }[] = [
    { what: 'with everything', withResult: true },
    { what: 'without prevResult' },
    { what: 'without a netns', options: { netns: '' } },
    { what: 'without a netns and a record', options: { netns: '' }, spoil: 'rm -r /run/podwire/bandwidth' },
    { what: 'without a record', spoil: 'rm -r /run/podwire/bandwidth' },
    { what: 'when the netns is gone', spoil: 'ip netns del pod' },
    { what: 'when the veth is gone', spoil: 'ip link del $P' },
    { what: 'when the ifb is gone', spoil: 'ip link del $I' },
    { what: 'when the limits are gone', spoil: 'tc qdisc del dev $P root; tc qdisc del dev $P ingress' },
    { what: 'when the filters are gone', spoil: 'tc filter del dev $P parent ffff:' },
  ];
  test.for(ways)('$what', async ({ spoil, options, withResult }) => {
    const chain = await attachBefore(host, pod, config);
    const made = await snapshot(host);
    const ifb = (await addChained(chain)).interfaces?.at(-1)?.name ?? '';
    if (spoil) await host.shell(spoil.replaceAll('$P', chain.network.port).replaceAll('$I', ifb));
    if (!withResult) chain.chained.result = undefined;
    await chain.chained.del(options);
    await chain.chained.del(options);
    const gone = /netns del|link del \$P/.test(spoil ?? '');
    // Of the interface that is left nothing is limited any more, and nothing is swallowed.
    if (!gone) expect(await ping(pod, '10.42.0.1')).toBe(true);
    const ingress = options?.netns === '' && spoil !== undefined ? [/^qdisc tbf 1: dev veth/] : [];
    const { added, removed } = leftovers(made, await snapshot(host), ingress);
    expect(added).toEqual([]);
    if (!gone) expect(removed).toEqual([]);
  });

  test('of a container that was never limited takes nothing from another', async () => {
    const chain = await attachBefore(host, pod, config);
    await addChained(chain);
    const stranger = await attachBefore(host, await host.addPod('other'), config);
    await stranger.chained.del();
    await chain.chained.check();
  });
});

describe('GC', () => {
  test.for([
    { what: 'with records', script: 'true' },
    { what: 'without records', script: 'rm -r /run/podwire/bandwidth' },
    { what: 'of containers that are gone', script: 'ip netns del b' },
  ])('$what: removes what is not valid of its network, and nothing else', async ({ script }) => {
    const attach = async (name: string, network: string, subnet = '10.42.0.0/24') => {
      const ptp = { type: 'ptp', ipam: { type: 'host-local', subnet } };
      const place = await host.addPod(name);
      const chain = await attachBefore(host, place, { ...config, name: network }, { network: ptp });
      await addChained(chain);
      return { ...chain, pod: place };
    };
    const a = await attach('a', 'limited');
    const made = await snapshot(host);
    const b = await attach('b', 'limited');
    const other = await attach('c', 'limited.more', '10.43.0.0/24');
    await host.shell(script);
    await collect(host, config, [a.chained]);
    await a.chained.check();
    await other.chained.check();
    expect(await linkNames(host)).not.toContain(b.chained.result?.interfaces?.at(-1)?.name);
    if (script === 'true') expect(await ping(b.pod, '10.42.0.1')).toBe(true);
    await delChained(b);
    await delChained(other);
    expect(leftovers(made, await snapshot(host), [/^netns [bc]/, /bandwidth\/limited\//])).toEqual(nothing);
    await collect(host, config, []);
    expect(await linkNames(host)).not.toContain(a.chained.result?.interfaces?.at(-1)?.name);
  });

  test("leaves the reference plugin's ifbs, which do not tell their network", async () => {
    const chain = await attachBefore(
      host,
      pod,
      { ...config, cniVersion: '1.0.0' },
      { networkBin: referenceBin, binDir: referenceBin },
    );
    const ifb = (await addChained(chain)).interfaces?.at(-1)?.name;
    await collect(host, config, []);
    expect(await linkNames(host)).toContain(ifb);
  });
});

describe('STATUS', () => {
  test('of a host that can limit', async () => {
    const chain = await attachBefore(host, pod, { ...config, ...subnets });
    const made = await snapshot(host);
    expect(await chain.chained.attempt('STATUS')).toMatchObject({ exitCode: 0, stdout: '', stderr: '' });
    expect(await left(made)).toEqual(nothing);
  });

  test.for(['tc', 'ip'])('without %s', async (tool) => {
    const chain = await attachBefore(host, pod, config);
    const path = (await host.exec(['readlink', '-f', `/sbin/${tool}`])).trim();
    await host.shell(`: >/run/not-executable; mount --bind /run/not-executable ${path}`);
    try {
      const { error } = await chain.chained.attempt('STATUS');
      expect(error).toMatchObject({ code: 50, msg: expect.stringContaining(`"${tool}" is not installed`) });
    } finally {
      await host.exec(['umount', path]);
    }
  });

  test('of a configuration that no ADD would accept', async () => {
    const chain = await attachBefore(host, pod, { ...bandwidth, ingressBurst: 1 });
    expect((await chain.chained.attempt('STATUS')).error).toMatchObject({ code: 7 });
  });
});

test('VERSION and the about text name the versions whose results have interfaces', async () => {
  const versions = allVersions.slice(2);
  const { stderr } = await host.attempt([`${podwireBin}/bandwidth`]);
  expect(stderr).toMatch(/CNI bandwidth plugin .*\n.*: 0\.3\.0, 0\.3\.1, /);
  const { stdout } = await host.attempt([`${podwireBin}/bandwidth`], { env: { CNI_COMMAND: 'VERSION' } });
  expect(JSON.parse(stdout)).toMatchObject({ supportedVersions: versions });
});

test('GC leaves what was limited after it began', async () => {
  const chain = await attachBefore(host, pod, config);
  const env = { PATH: systemPath, CNI_COMMAND: 'GC', CNI_PATH: podwireBin, MARK: chain.chained.containerId };
  // It waits for its configuration while the container is added.
  const script = '{ until [ -s /run/config ]; do sleep 0.02; done; cat /run/config; } | "$0"';
  const collection = host.start(['/bin/sh', '-c', script, `${podwireBin}/bandwidth`], { env });
  await waitUntil('GC has begun', async () => {
    const look = `for f in $(grep -lx bandwidth /proc/[0-9]*/comm); do grep -c ${env.MARK} \${f%comm}environ; done`;
    return (await host.attempt(['/bin/sh', '-c', look])).stdout.includes('1');
  });
  await addChained(chain);
  const stdin = JSON.stringify({ ...config, 'cni.dev/valid-attachments': [] });
  await host.shell('cat >/run/config.new; mv /run/config.new /run/config', { stdin });
  expect(await collection.outcome).toMatchObject({ exitCode: 0, stdout: '' });
  await chain.chained.check();
});
