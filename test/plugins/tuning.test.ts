import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { podwireBin } from '../support/binaries.ts';
import { callPlugin, expectDone, type PluginOutcome } from '../support/call-plugin.ts';
import type { Pod } from '../support/pod.ts';
import { leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { Attachment, allVersions } from './attachment.ts';
import { tunedState } from './tuned-state.ts';

const mac = '02:aa:bb:cc:dd:01';
const everything = { mac, mtu: 1380, promisc: true, allmulti: true, txQLen: 321 };
const sysctl = { 'net.ipv4.conf.IFNAME.arp_filter': '1', 'net.ipv4.ip_default_ttl': '77' };
const untuned = { mtu: 1500, promisc: false, allmulti: false, txQLen: 1000, arpFilter: '0', ttl: '64' };
const tuned = { mac, mtu: 1380, promisc: true, allmulti: true, txQLen: 321, arpFilter: '1', ttl: '77' };

describe('tuning', () => {
  let host: TestHost;
  let pod: Pod;
  let prevResult: object;
  let original: Awaited<ReturnType<typeof tunedState>>;
  beforeEach(async () => {
    host = await createHost({ name: 'tuning' });
    pod = await host.addPod('pod');
    await host.shell(
      'ip link add v0 type veth peer name eth0 netns pod; ip link set v0 up; ip -n pod link set eth0 up',
    );
    original = await tunedState(pod, 'eth0');
    expect(original).toMatchObject(untuned);
    prevResult = {
      interfaces: [
        { name: 'v0', mac: '02:00:00:00:00:01' },
        { name: 'eth0', mac: original.mac, sandbox: pod.netns },
      ],
      ips: [{ address: '10.0.0.2/24', interface: 1 }],
    };
  });
  afterEach(() => host.dispose());

  const attachment = (keys: object, options: ConstructorParameters<typeof Attachment>[3] = {}): Attachment =>
    new Attachment(
      host,
      pod,
      { cniVersion: '1.0.0', name: 'tuned', type: 'tuning', prevResult, ...keys },
      options,
    );
  /** CHECK and DEL get the result of ADD as prevResult, as a runtime gives it. */
  const saved = async (): Promise<string[]> =>
    (await host.exec(['ls', '-A', '/run/cni/tuning'])).split('\n').filter(Boolean);

  test.for(allVersions)('%s: sets everything, says so, and DEL puts it back', async (cniVersion) => {
    const version = (family: string): object => (cniVersion < '1.0.0' ? { version: family } : {});
    const given =
      cniVersion < '0.3.0'
        ? { cniVersion, ip4: { ip: '10.0.0.2/24' }, dns: {} }
        : {
            cniVersion,
            interfaces: [
              { name: 'v0', mac: '02:00:00:00:00:01' },
              { name: 'eth0', mac: original.mac, sandbox: pod.netns },
            ],
            ips: [{ ...version('4'), address: '10.0.0.2/24', interface: 1 }],
            routes: [{ dst: '0.0.0.0/0', gw: '10.0.0.1' }],
            dns: { nameservers: ['10.0.0.53'] },
          };
    const before = await snapshot(host);
    const tuning = attachment({ cniVersion, prevResult: given, ...everything, sysctl });
    const expected = structuredClone(given) as { interfaces?: Record<string, unknown>[] };
    const inside = expected.interfaces?.[1];
    if (inside !== undefined) Object.assign(inside, { mac }, cniVersion === '1.1.0' ? { mtu: 1380 } : {});
    expect(await tuning.add()).toEqual(expected);
    expect(await tunedState(pod, 'eth0')).toEqual(tuned);
    if (cniVersion >= '0.4.0') await tuning.check();
    await tuning.del();
    expect(await tunedState(pod, 'eth0')).toEqual(original);
    await tuning.del();
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);
  });

  test('without anything to set, passes the result on and keeps nothing', async () => {
    const tuning = attachment({});
    expect(await tuning.add()).toEqual({ cniVersion: '1.0.0', ...prevResult });
    await tuning.check();
    await tuning.del();
    expect((await host.attempt(['ls', '/run/cni/tuning'])).exitCode).not.toBe(0);
  });

  test.for([
    { what: 'the configuration', keys: { mac }, args: '' },
    { what: 'CNI_ARGS', keys: { mac: '02:00:00:00:00:11' }, args: `MAC=${mac}` },
    {
      what: 'runtimeConfig',
      keys: { mac: '02:00:00:00:00:11', runtimeConfig: { mac } },
      args: 'MAC=02:00:00:00:00:12',
    },
    {
      what: 'args.cni',
      keys: { runtimeConfig: { mac: '02:00:00:00:00:13' }, args: { cni: { mac } } },
      args: 'MAC=02:00:00:00:00:12',
    },
  ])('takes the MAC from $what', async ({ keys, args }) => {
    const tuning = attachment(keys, { args });
    expect((await tuning.add()).interfaces?.[1]?.mac).toBe(mac);
    expect((await tunedState(pod, 'eth0')).mac).toBe(mac);
    await tuning.check();
  });

  test('args.cni has the last word on everything else', async () => {
    const cni = {
      mtu: 1300,
      promisc: false,
      allmulti: false,
      txQLen: 5,
      sysctl: { 'net/ipv4/ip_default_ttl': '99' },
    };
    const tuning = attachment({ ...everything, sysctl, args: { cni } });
    await tuning.add();
    expect(await tunedState(pod, 'eth0')).toEqual({
      ...{ mac, mtu: 1300, promisc: false, allmulti: false, txQLen: 5, arpFilter: '1', ttl: '99' },
    });
    await tuning.check();
  });

  test.for([
    { keys: everything, damage: 'ip link set eth0 address 02:00:00:00:00:77', finding: 'the MAC of "eth0"' },
    { keys: everything, damage: 'ip link set eth0 mtu 1400', finding: 'the MTU of "eth0" is 1400, not 1380' },
    { keys: everything, damage: 'ip link set eth0 promisc off', finding: 'promiscuous mode' },
    { keys: everything, damage: 'ip link set eth0 allmulticast off', finding: 'all-multicast mode' },
    { keys: everything, damage: 'ip link set eth0 txqueuelen 9', finding: 'queue length' },
    { keys: { sysctl }, damage: 'echo 0 >/proc/sys/net/ipv4/conf/eth0/arp_filter', finding: 'arp_filter' },
    { keys: everything, damage: 'ip link del eth0', finding: 'missing' },
  ])('CHECK finds what "$damage" does', async ({ keys, damage, finding }) => {
    const tuning = attachment(keys);
    await tuning.add();
    await tuning.check();
    await pod.shell(damage);
    expect(await tuning.finding()).toContain(finding);
    await tuning.del();
  });

  test('lists are compared by their words, and interfaces whose names have dots are found', async () => {
    await pod.exec(['ip', 'link', 'set', 'eth0', 'down']);
    await pod.exec(['ip', 'link', 'set', 'eth0', 'name', 'eth0.5']);
    const dotted = {
      'net.ipv4.conf.IFNAME.arp_filter': '1',
      'net/ipv4/conf/eth0.5/arp_ignore': '2',
      'net.ipv4.conf.eth0/5.arp_announce': '2',
      'net.ipv4.tcp_rmem': '4096 65536 131072',
    };
    const tuning = attachment({ sysctl: dotted, mtu: 1400 }, { ifname: 'eth0.5' });
    await tuning.add();
    const read = async (name: string): Promise<string> =>
      (await pod.exec(['cat', `/proc/sys/net/ipv4/${name}`])).trim();
    expect(
      await Promise.all(
        ['conf/eth0.5/arp_filter', 'conf/eth0.5/arp_ignore', 'conf/eth0.5/arp_announce'].map(read),
      ),
    ).toEqual(['1', '2', '2']);
    await tuning.check();
    await tuning.del();
    expect(await Promise.all(['conf/eth0.5/arp_filter', 'conf/eth0.5/arp_ignore'].map(read))).toEqual([
      '0',
      '0',
    ]);
    expect(await read('tcp_rmem')).not.toContain('65536 131072');
  });

  test.for([
    { keys: { sysctl: { 'kernel.hostname': 'x' } }, code: 7, words: ['kernel.hostname'] },
    { keys: { sysctl: { 'net.../../kernel.hostname': 'x' } }, code: 7, words: ['kernel'] },
    { keys: { sysctl: { 'net/../kernel/hostname': 'x' } }, code: 7, words: ['kernel'] },
    { keys: { sysctl: { 'net.ipv4.no_such_key': '1' } }, code: 7, words: ['net.ipv4.no_such_key'] },
    { keys: { sysctl: { 'net.ipv4.ip_default_ttl': '7777' } }, code: 7, words: ['ip_default_ttl', '7777'] },
    { keys: { sysctl: { 'net.ipv4.ip_default_ttl': 5 } }, code: 7, words: ['ip_default_ttl'] },
    {
      keys: { sysctl: { 'net.ipv4.ip_default_ttl': '5', 'net/ipv4/ip_default_ttl': '6' } },
      code: 7,
      words: ['twice'],
    },
    { keys: { mac: '01:00:00:00:00:00' }, code: 7, words: ['"mac"', '01:00:00:00:00:00'] },
    { keys: { mac: 'none' }, code: 7, words: ['"mac"', 'none'] },
    { keys: { mtu: -1 }, code: 7, words: ['"mtu"', '-1'] },
    { keys: { mtu: 900_000 }, code: 100, words: ['eth0'] },
    { keys: { txQLen: 'long' }, code: 7, words: ['"txQLen"'] },
    { keys: { prevResult: undefined }, code: 7, words: ['prevResult'] },
    { keys: { dataDir: '/proc/nowhere' }, code: 5, words: ['/proc/nowhere'] },
  ])('ADD refuses $keys, and puts back what it had set', async ({ keys, code, words }) => {
    const before = await snapshot(host);
    const tuning = attachment({ ...everything, ...('sysctl' in keys ? {} : { sysctl }), ...keys });
    const { error } = await tuning.attempt('ADD');
    expect(error?.code).toBe(code);
    for (const word of words) expect(error?.msg).toContain(word);
    expect(await tunedState(pod, 'eth0')).toEqual(original);
    await tuning.del();
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);
  });

  test('refuses a key that is there twice, which JSON parsers do not tell', async () => {
    const { config, containerId } = attachment(everything);
    const text = JSON.stringify({ ...config, sysctl: 0 });
    const twice = '{"net.ipv4.ip_default_ttl":"5","net.ipv4.\\u0069p_default_ttl":"6"}';
    const { error } = await callPlugin(host, {
      ...{ binDir: podwireBin, plugin: 'tuning', command: 'ADD', containerId, netns: pod },
      stdin: text.replace('"sysctl":0', `"sysctl":${twice}`),
    });
    expect(error).toMatchObject({ code: 7 });
    expect(error?.msg).toContain('net.ipv4.ip_default_ttl');
  });

  test('a node may allow some sysctls only', async () => {
    await host.shell(
      'mount -t tmpfs tmpfs /etc/cni 2>/dev/null || { mkdir -p /run/etc && mount -t overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/etc overlay /etc; }',
    );
    await host.shell(
      "mkdir -p /etc/cni/tuning; printf '%s\\n' '^net\\.ipv4\\.conf\\.IFNAME\\.[a-z_]*$' '' '  ^net.core.somaxconn$ ' >/etc/cni/tuning/allowlist.conf",
    );
    const allowed = attachment({ sysctl: { 'net.ipv4.conf.IFNAME.arp_filter': '1' } });
    await allowed.add();
    await allowed.del();
    const { error } = await attachment({ sysctl }).attempt('ADD');
    expect(error).toMatchObject({ code: 7 });
    expect(error?.msg).toContain('net.ipv4.ip_default_ttl');
    expect(error?.details).toContain('net.core.somaxconn');
    const status = await attachment({ cniVersion: '1.1.0', sysctl }).attempt('STATUS');
    expect(status.error).toMatchObject({ code: 50 });
    await host.shell("echo '[' >/etc/cni/tuning/allowlist.conf");
    expect((await allowed.attempt('ADD')).error).toMatchObject({ code: 7 });
  });

  test.for(['', '/run/netns/gone', '/etc/passwd'])(
    'DEL with the netns %j forgets the originals',
    async (netns) => {
      const tuning = attachment(everything);
      await tuning.add();
      expect(await saved()).toEqual([`${tuning.containerId}_eth0.json`]);
      await tuning.del({ netns });
      expect(await saved()).toEqual([]);
    },
  );

  test('what an ADD that was killed had kept is not lost, nor what an earlier tuning kept', async () => {
    const first = attachment({ mtu: 1300, sysctl });
    await first.add();
    const second = attachment({ mtu: 1350, mac }, { containerId: first.containerId });
    await second.add();
    await second.check();
    await second.del();
    expect(await tunedState(pod, 'eth0')).toEqual(original);
    await first.del();
    expect(await tunedState(pod, 'eth0')).toEqual(original);
  });

  test('a sysctl of the whole container stays until its last attachment goes', async () => {
    const first = attachment({ sysctl });
    await first.add();
    const others = { containerId: first.containerId, ifname: 'lo' };
    const second = attachment({ sysctl: { 'net.ipv4.ip_default_ttl': '77' } }, others);
    await second.add();
    const failing = attachment(
      { sysctl: { 'net.ipv4.ip_default_ttl': '99', 'net.ipv4.tcp_ecn': 'many' } },
      others,
    );
    expect((await failing.attempt('ADD')).error).toMatchObject({ code: 7 });
    await second.check();
    await first.del();
    await second.check();
    expect((await tunedState(pod, 'eth0')).arpFilter).toBe('0');
    await second.del();
    expect(await tunedState(pod, 'eth0')).toEqual(original);
  });

  test("originals of a netns that is gone are nobody's", async () => {
    const first = attachment({ mtu: 1300, mac });
    await first.add();
    await pod.remove();
    const again = await host.addPod('pod');
    await host.shell('ip link add v1 type veth peer name eth0 netns pod; ip -n pod link set eth0 mtu 1200');
    const second = new Attachment(host, again, first.config, { containerId: first.containerId });
    await second.add();
    await second.del();
    expect((await tunedState(again, 'eth0')).mtu).toBe(1200);
  });

  test('GC forgets what belongs to no valid attachment of this network', async () => {
    const mine = attachment({ mtu: 1300 });
    const kept = attachment({ sysctl }, { ifname: 'lo' });
    const other = attachment({ name: 'other', txQLen: 5 });
    for (const each of [mine, kept, other]) await each.add();
    await host.shell(`echo '{"mtu": 1400}' >/run/cni/tuning/theirs_eth0.json`);
    const collect = (valid: Attachment[]): Promise<PluginOutcome> => {
      const list = valid.map(({ containerId, ifname }) => ({ containerID: containerId, ifname }));
      const config = {
        cniVersion: '1.1.0',
        name: 'tuned',
        type: 'tuning',
        'cni.dev/valid-attachments': list,
      };
      return callPlugin(host, { binDir: podwireBin, plugin: 'tuning', command: 'GC', config });
    };
    expectDone(await collect([kept]));
    const left = [`${kept.containerId}_lo.json`, `${other.containerId}_eth0.json`, 'theirs_eth0.json'];
    expect((await saved()).toSorted()).toEqual(left.toSorted());
    expectDone(await collect([]));
    expect((await saved()).toSorted()).toEqual(left.slice(1).toSorted());
  });
});
