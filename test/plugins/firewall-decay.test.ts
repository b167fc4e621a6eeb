import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { podwireBin } from '../support/binaries.ts';
import { callPlugin, expectDone, newContainerId, type PluginOutcome } from '../support/call-plugin.ts';
import { requireKernel, requireTool } from '../support/needs.ts';
import { allVersions } from './attachment.ts';
import { type ChainedPod, createFirewallNode, type FirewallNode } from './firewall-node.ts';

const network = (backend: string, keys: object = {}) => ({
  name: 'walled',
  number: 2,
  firewall: { backend, ...keys },
});
const byNft = { backend: 'nftables', ingressPolicy: 'isolated' };
const byIptables = { backend: 'iptables', ingressPolicy: 'isolated' };

describe('firewall in decay', () => {
  let node: FirewallNode;
  beforeEach(async (context) => {
    requireTool(context, 'nft', 'iptables', 'ping');
    requireKernel(context, 'nftables', 'iptables (nft)');
    node = await createFirewallNode();
  });
  afterEach(() => node?.host.dispose());

  /** How many of the pod's addresses any packet filter still lists. */
  const listed = async ({ addresses }: ChainedPod): Promise<number> => {
    const text = `${await node.host.exec(['nft', 'list', 'ruleset'])}\n${(await node.filterRules()).join('\n')}`;
    return addresses.filter((address) => new RegExp(`${address}(?![0-9a-f:.])`).test(text)).length;
  };
  const collect = (kept: ChainedPod[], name = 'walled'): Promise<PluginOutcome> => {
    const list = kept.map(({ chain }) => ({ containerID: chain.containerId, ifname: 'eth0' }));
    const config = { cniVersion: '1.1.0', name, type: 'firewall', 'cni.dev/valid-attachments': list };
    return callPlugin(node.host, { binDir: podwireBin, plugin: 'firewall', command: 'GC', config });
  };

  test.for([
    { keys: byNft, damage: 'nft delete table inet podwire_firewall', finding: 'is missing' },
    {
      keys: byNft,
      damage: 'nft delete element inet podwire_firewall pods4 { V4 }',
      finding: 'pods4 is missing',
    },
    {
      keys: byNft,
      damage: 'nft delete element inet podwire_firewall pods6 { V6 }',
      finding: 'pods6 is missing',
    },
    { keys: byNft, damage: 'nft flush set inet podwire_firewall guarded', finding: 'guarded is missing' },
    { keys: byNft, damage: 'nft flush map inet podwire_firewall within', finding: 'within is missing' },
    { keys: byNft, damage: 'nft flush chain inet podwire_firewall isolated', finding: 'isolated has other' },
    { keys: byNft, damage: 'nft insert rule inet podwire_firewall forward accept', finding: 'other rules' },
    { keys: byIptables, damage: 'iptables -F', finding: 'IPv4 rule "-A FORWARD' },
    { keys: byIptables, damage: 'ip6tables -F CNI-FORWARD', finding: 'IPv6 rule "-A CNI-FORWARD' },
    { keys: byIptables, damage: 'iptables -D CNI-FORWARD -s V4 -j ACCEPT', finding: '-s 10.60.2.2/32' },
    {
      keys: byIptables,
      damage: 'ip6tables -D CNI-FORWARD -d V6 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      finding: '-d fd60:2::2/128',
    },
    { keys: byIptables, damage: 'iptables -D FORWARD 2', finding: '-j CNI-FORWARD' },
    { keys: byIptables, damage: 'iptables -D FORWARD 1', finding: '-j CNI-ISOLATION-STAGE-1' },
    { keys: byIptables, damage: 'iptables -F CNI-ISOLATION-STAGE-1', finding: '-A CNI-ISOLATION-STAGE-1' },
    { keys: byIptables, damage: 'iptables -F CNI-ISOLATION-STAGE-2', finding: '-A CNI-ISOLATION-STAGE-2' },
    {
      keys: byIptables,
      damage:
        'rule=$(iptables -S FORWARD | sed -n "s/-A\\( FORWARD .*CNI-FORWARD\\)/-I\\1/p"); iptables -D FORWARD 2; eval "iptables $rule"',
      finding: 'comes after CNI-FORWARD',
    },
  ])('CHECK finds what "$damage" does, and ADD mends it', async ({ keys, damage, finding }) => {
    const pod = await node.add('pod', network(keys.backend, keys));
    await node.check(pod);
    const [v4 = '', v6 = ''] = pod.addresses;
    await node.host.shell(damage.replace('V4', v4).replace('V6', v6));
    const { error } = await node.call(pod, 'CHECK');
    expect(error).toMatchObject({ code: 105 });
    expect(`${error?.msg} ${error?.details}`).toContain(finding);
    expectDone(await node.call(pod, 'ADD'));
    await node.check(pod);
    await node.del(pod);
    expect(await listed(pod)).toBe(0);
  });

  test.for(
    ['nftables', 'iptables'].flatMap((backend) => [
      { backend, what: 'without netns', lost: 'true', calls: { netns: '' } },
      { backend, what: 'whose netns is gone', lost: 'ip netns del pod', calls: {} },
      { backend, what: 'without result', lost: 'true', calls: { prevResult: undefined } },
      {
        backend,
        what: 'without result and record',
        lost: 'rm -r /run/podwire/firewall',
        calls: { prevResult: undefined },
      },
      { backend, what: 'without record', lost: 'rm -r /run/podwire/firewall', calls: {} },
      {
        backend,
        what: 'with another configuration',
        lost: 'true',
        calls: { backend: 'nonsense', ingressPolicy: 7 },
      },
      { backend, what: 'with a broken result', lost: 'true', calls: { prevResult: { ips: 'none' } } },
    ]),
  )('DEL with $backend $what', async ({ backend, lost, calls }) => {
    const pod = await node.add('pod', network(backend));
    const other = await node.add('other', network(backend));
    await node.host.shell(lost);
    expectDone(await node.call(pod, 'DEL', calls));
    expect(await listed(pod)).toBe(0);
    expect(await listed(other)).toBe(2);
    expectDone(await node.call(pod, 'DEL', calls));
    await node.check(other);
  });

  test.for(['nftables', 'iptables'])(
    "a late DEL leaves an address that is another pod's (%s)",
    async (backend) => {
      const pod = await node.add('pod', network(backend));
      await node.del(pod);
      await node.host.exec(['rm', '-r', '/var/lib/cni/networks/walled']);
      const heir = await node.add('heir', network(backend));
      expect(heir.addresses).toEqual(pod.addresses);
      expectDone(await node.call(pod, 'DEL'));
      await node.check(heir);
    },
  );

  test.for(['nftables', 'iptables'])('GC takes away what is not valid (%s)', async (backend) => {
    const pods: ChainedPod[] = [];
    for (const name of ['a', 'b', 'c']) pods.push(await node.add(name, network(backend)));
    const [a, b, c] = pods as [ChainedPod, ChainedPod, ChainedPod];
    const neighbour = await node.add('d', {
      ...network(backend),
      name: 'walled-2',
      number: 3,
      bridge: 'cni3',
    });
    await node.host.exec(['ip', 'netns', 'del', 'b']);
    expectDone(await collect([a, c]));
    expect(await Promise.all([a, b, c, neighbour].map(listed))).toEqual([2, 0, 2, 2]);
    await node.check(a);
    expectDone(await collect([]));
    expect(await Promise.all([a, b, c, neighbour].map(listed))).toEqual([0, 0, 0, 2]);
    expect(await node.host.exec(['ls', '-A', '/run/podwire/firewall/walled'])).toBe('');
    await node.check(neighbour);
  });

  test('GC forgets the policy of a bridge that is gone', async () => {
    const pod = await node.add('pod', network('nftables', { ingressPolicy: 'isolated' }));
    const other = await node.add('other', {
      ...network('nftables', byNft),
      name: 'n2',
      number: 4,
      bridge: 'cni4',
    });
    await node.del(pod);
    await node.host.exec(['ip', 'link', 'del', 'cni0']);
    expectDone(await collect([]));
    const table = await node.host.exec(['nft', 'list', 'table', 'inet', 'podwire_firewall']);
    expect(table).not.toContain('"cni0"');
    expect(table).toContain('"cni4" . "cni4"');
    await node.check(other);
  });

  test.for([
    { keys: { backend: 'ufw' }, code: 2, words: ['"backend"', '"ufw"'] },
    { keys: { ingressPolicy: 'shut' }, code: 2, words: ['"ingressPolicy"', '"shut"'] },
    { keys: { backend: 5 }, code: 7, words: ['"backend"'] },
    { keys: { iptablesAdminChainName: 'FORWARD' }, code: 7, words: ['"iptablesAdminChainName"'] },
    { keys: { iptablesAdminChainName: 'a b' }, code: 7, words: ['"iptablesAdminChainName"', 'a b'] },
    { keys: { prevResult: undefined }, code: 7, words: ['prevResult'] },
    {
      keys: { ingressPolicy: 'isolated', prevResult: { ips: [{ address: '10.0.0.2/8' }] } },
      code: 7,
      words: ['"ingressPolicy"'],
    },
    { keys: { cniVersion: '0.3.1' }, code: 1, words: ['0.3.1'] },
    { keys: { backend: 'firewalld' }, code: 100, words: ['firewalld'] },
  ])('ADD refuses $keys, and changes nothing', async ({ keys, code, words }) => {
    const pod = await node.add('pod', { ...network(''), firewall: null });
    const before = await node.host.exec(['nft', 'list', 'ruleset']);
    const { error } = await node.call(pod, 'ADD', { type: 'firewall', ...keys });
    expect(error?.code).toBe(code);
    for (const word of words) expect(error?.msg).toContain(word);
    expect(await node.host.exec(['nft', 'list', 'ruleset'])).toBe(before);
    expect((await node.host.attempt(['ls', '-A', '/run/podwire/firewall/walled'])).stdout).toBe('');
  });

  test.for(allVersions.filter((version) => version >= '0.4.0'))(
    '%s: the result is what it was',
    async (cniVersion) => {
      const prevResult = {
        cniVersion,
        interfaces: [
          { name: 'br', mac: '02:00:00:00:00:01' },
          { name: 'eth0', sandbox: '/run/netns/pod' },
        ],
        ips: [
          {
            ...(cniVersion === '0.4.0' ? { version: '4' } : {}),
            address: '10.9.9.9/24',
            gateway: '10.9.9.1',
            interface: 1,
          },
        ],
        routes: [{ dst: '0.0.0.0/0', gw: '10.9.9.1' }],
        dns: { nameservers: ['10.0.0.53'] },
      };
      const pod = await node.host.addPod('pod');
      const call = { binDir: podwireBin, plugin: 'firewall', containerId: newContainerId(), netns: pod };
      const config = { cniVersion, name: 'walled', type: 'firewall', prevResult };
      const added = await callPlugin(node.host, { ...call, command: 'ADD', config });
      expect(added.result).toEqual(prevResult);
      expectDone(await callPlugin(node.host, { ...call, command: 'CHECK', config }));
      expectDone(await callPlugin(node.host, { ...call, command: 'DEL', config }));
    },
  );

  test('VERSION names the versions it accepts, and no others', async () => {
    const call = { binDir: podwireBin, plugin: 'firewall', command: 'VERSION' };
    const { result } = await callPlugin(node.host, call);
    expect(result?.supportedVersions).toEqual(['0.4.0', '1.0.0', '1.1.0']);
  });

  test('STATUS tells whether the backend can work', async () => {
    const status = (keys: object): Promise<PluginOutcome> => {
      const config = { cniVersion: '1.1.0', name: 'walled', type: 'firewall', ...keys };
      return callPlugin(node.host, { binDir: podwireBin, plugin: 'firewall', command: 'STATUS', config });
    };
    for (const backend of [undefined, '', 'nftables', 'iptables']) expectDone(await status({ backend }));
    expect((await status({ backend: 'firewalld' })).error).toMatchObject({ code: 50 });
    expect((await status({ backend: 'ufw' })).error).toMatchObject({ code: 2 });
  });
});
