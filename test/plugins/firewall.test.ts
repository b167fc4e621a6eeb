import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { requireKernel, requireTool } from '../support/needs.ts';
import { keptBridge, leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { type ChainedPod, createFirewallNode, type FirewallNode } from './firewall-node.ts';

/** For `allow`: what all pods share, which stays for the next one, as with the reference. */
const keptFirewall = [
  ...keptBridge('cni0'),
  /^nft (table|set|map|chain|rule) inet podwire_firewall\b/,
  /^ip6?tables-nft filter (:CNI-|-A FORWARD .* -j CNI-FORWARD$|-A CNI-FORWARD .* -j CNI-ADMIN$)/,
  /^nft (chain|rule) ip6? filter (CNI-FORWARD|CNI-ADMIN|FORWARD)( |$)/,
];

const backends = ['nftables', 'iptables'] as const;
const network = (backend: string | undefined, keys: object = {}) => ({
  name: 'walled',
  number: 1,
  firewall: { ...(backend === undefined ? {} : { backend }), ...keys },
});

describe('firewall', () => {
  let node: FirewallNode;
  beforeEach(async (context) => {
    requireTool(context, 'nft', 'iptables', 'ping');
    requireKernel(context, 'nftables', 'iptables (nft)');
    node = await createFirewallNode();
  });
  afterEach(() => node?.host.dispose());

  const rules = async (): Promise<string> => {
    const elements = await node.host.exec(['nft', 'list', 'ruleset']);
    return `${elements}\n${(await node.filterRules()).join('\n')}`;
  };
  /** Whether any packet filter has a rule or an element with the pod's addresses. */
  const isListed = async ({ addresses }: ChainedPod): Promise<boolean[]> => {
    const text = await rules();
    return addresses.map((address) => new RegExp(`${address}(?![0-9a-f:.])`).test(text));
  };

  test.for(backends)('by %s: ADD, CHECK, DEL, and what is shared stays', async (backend) => {
    const first = await node.add('first', network(backend));
    await node.check(first);
    const before = await snapshot(node.host);
    const second = await node.add('second', network(backend));
    expect(await isListed(second)).toEqual([true, true]);
    await node.check(second);
    expect(await node.reaches(second.pod, node.outside.addresses)).toBe(true);
    await node.del(second);
    await second.pod.remove();
    expect(leftovers(before, await snapshot(node.host))).toEqual(nothing);
    await node.check(first);
    await node.del(first);
    await node.del(first);
    expect(await isListed(first)).toEqual([false, false]);
  });

  test('on a node of its own, nothing is left but what pods share', async () => {
    const pod = await node.host.addPod('early');
    const before = await snapshot(node.host);
    for (const backend of backends) await node.del(await node.add(backend, network(backend)));
    await pod.remove();
    const left = leftovers(before, await snapshot(node.host), [/^netns /, ...keptFirewall]);
    expect(left).toEqual(nothing);
  });

  test('the backend that is not given: iptables where its FORWARD chain has a say, else nftables', async () => {
    const open = await node.add('open', network(undefined));
    expect(await node.host.exec(['nft', 'list', 'table', 'inet', 'podwire_firewall'])).toContain(
      open.addresses[0],
    );
    expect((await node.filterRules()).join('\n')).not.toContain('CNI-FORWARD');
    await node.host.exec(['iptables', '-A', 'FORWARD', '-m', 'comment', '--comment', 'some rule']);
    const ruled = await node.add('ruled', network(undefined));
    expect((await node.filterRules()).join('\n')).toContain(`-s ${ruled.addresses[0]}/32 -j ACCEPT`);
    expect((await node.filterRules()).join('\n')).toContain(`-s ${ruled.addresses[1]}/128 -j ACCEPT`);
    await node.check(open);
    await node.check(ruled);
    for (const pod of [open, ruled]) await node.del(pod);
    expect([...(await isListed(open)), ...(await isListed(ruled))]).toEqual([false, false, false, false]);
  });

  test("an administrator's chain that is named is one of iptables", async () => {
    const pod = await node.add('pod', network(undefined, { iptablesAdminChainName: 'MY-RULES' }));
    expect(await node.filterRules()).toContain(
      '-A CNI-FORWARD -m comment --comment "CNI firewall plugin admin overrides" -j MY-RULES',
    );
    await node.check(pod);
    await node.del(pod);
  });

  test.for([
    {
      backend: 'iptables',
      deny: (v4: string, v6: string) =>
        `iptables -I CNI-ADMIN -s ${v4} -j DROP; ip6tables -I CNI-ADMIN -s ${v6} -j DROP`,
      show: ['iptables', '-S', 'CNI-ADMIN'],
      disturb: ['iptables', '-D', 'FORWARD', '1'],
    },
    {
      backend: 'nftables',
      deny: (v4: string, v6: string) =>
        `for match in 'ip saddr ${v4}' 'ip6 saddr ${v6}'; do nft add rule inet podwire_firewall admin $match drop; done`,
      show: ['nft', 'list', 'chain', 'inet', 'podwire_firewall', 'admin'],
      disturb: ['nft', 'flush', 'chain', 'inet', 'podwire_firewall', 'forward'],
    },
  ])('the administrator has the first word with $backend', async ({ backend, deny, show, disturb }) => {
    const pod = await node.add('pod', network(backend));
    const [v4 = '', v6 = ''] = pod.addresses;
    await node.host.shell(deny(v4, v6));
    const written = await node.host.exec(show);
    expect(await node.reaches(pod.pod, node.outside.addresses)).toBe(false);
    const other = await node.add('other', network(backend));
    expect(await node.reaches(other.pod, node.outside.addresses)).toBe(true);
    await node.check(pod);
    // Also when the rest has to be made again.
    await node.host.exec(disturb);
    const third = await node.add('third', network(backend));
    await node.check(pod);
    expect(await node.reaches(pod.pod, node.outside.addresses)).toBe(false);
    for (const each of [third, other, pod]) await node.del(each);
    expect(await node.host.exec(show)).toBe(written);
  });
});
