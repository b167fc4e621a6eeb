import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { expectPlugins, podwireBin, referenceBin } from '../support/binaries.ts';
import { expectDone } from '../support/call-plugin.ts';
import { requireKernel, requireTool } from '../support/needs.ts';
import { createFirewallNode, type FirewallNode } from './firewall-node.ts';

const network = (keys: Record<string, unknown> = {}) => ({
  name: 'shared',
  number: 5,
  firewall: { backend: 'iptables', ...keys },
});

describe('firewall beside the reference', () => {
  let node: FirewallNode;
  beforeEach(async (context) => {
    requireTool(context, 'nft', 'iptables', 'ping');
    requireKernel(context, 'iptables (nft)');
    expectPlugins(referenceBin, 'bridge', 'firewall', 'host-local');
    node = await createFirewallNode();
  });
  afterEach(() => node?.host.dispose());

  /** Releases after Debian's say in some comments which policies the rule serves. */
  const withoutPolicy = (rules: string[]): string[] =>
    rules.map((rule) =>
      rule.replace('(ingressPolicy: same-bridge|isolated)', '(ingressPolicy: same-bridge)'),
    );

  test.for([
    { what: 'plain', keys: {} },
    { what: 'an admin chain of another name', keys: { iptablesAdminChainName: 'OTHER-ADMIN' } },
    { what: 'same-bridge', keys: { ingressPolicy: 'same-bridge' } },
  ])('the same rules at every step: $what', async ({ keys }) => {
    const states: Record<string, string[][]> = {};
    for (const binDir of [referenceBin, podwireBin]) {
      await node.host.shell(
        'iptables -F; iptables -X; ip6tables -F; ip6tables -X; rm -rf /var/lib/cni/networks; ip link del cni0 2>/dev/null || true',
      );
      const rules: string[][] = [];
      const look = async (): Promise<number> => rules.push(withoutPolicy(await node.filterRules()));
      const label = binDir === podwireBin ? 'ours' : 'theirs';
      const first = await node.add(`${label}1`, network(keys), [binDir]);
      await look();
      const second = await node.add(`${label}2`, network(keys), [binDir]);
      await look();
      await node.del(first);
      await look();
      await node.del(second);
      await look();
      states[label] = rules;
    }
    expect(states.ours).toEqual(states.theirs);
    expect(states.ours?.[1]?.join('\n')).toContain('-s 10.60.5.3/32 -j ACCEPT');
    expect(states.ours?.[3]?.join('\n')).not.toContain('10.60.5.');
  });

  test.for([
    { from: referenceBin, to: podwireBin, what: 'from theirs to ours' },
    { from: podwireBin, to: referenceBin, what: 'from ours to theirs' },
  ])('$what, with pods running', async ({ from, to }) => {
    await node.host.shell('iptables -P FORWARD DROP; ip6tables -P FORWARD DROP');
    const old = await node.add('old', network(), [from]);
    const fresh = await node.add('fresh', network(), [to]);
    for (const { pod } of [old, fresh]) expect(await node.reaches(pod, node.outside.addresses)).toBe(true);
    await node.check(old, { binDirs: [to] });
    await node.check(fresh, { binDirs: [from] });
    await node.del(old, { binDirs: [to] });
    expect(await node.reaches(fresh.pod, node.outside.addresses)).toBe(true);
    await node.del(fresh, { binDirs: [from] });
    expect((await node.filterRules()).join('\n')).not.toContain('10.60.5.');
    // What the reference does not know of, our next GC or DEL takes.
    await node.del(old, { binDirs: [podwireBin] });
    await node.del(fresh, { binDirs: [podwireBin] });
    expect((await node.host.attempt(['ls', '-A', '/run/podwire/firewall/shared'])).stdout).toBe('');
  });

  test('without a backend on a node of the reference, the rules go where its are', async () => {
    const old = await node.add('old', network(), [referenceBin]);
    const fresh = await node.add('fresh', { name: 'shared', number: 5, firewall: {} });
    expect((await node.filterRules()).join('\n')).toContain(`-s ${fresh.addresses[0]}/32 -j ACCEPT`);
    expectDone(await node.call(old, 'CHECK', { backend: undefined }));
    for (const pod of [fresh, old]) await node.del(pod);
    expect((await node.filterRules()).join('\n')).not.toContain('10.60.5.');
  });

  test.for([
    { what: 'our bridge, their firewall', bridge: podwireBin, firewall: referenceBin },
    { what: 'their bridge, our firewall', bridge: referenceBin, firewall: podwireBin },
  ])('in one chain: $what', async ({ bridge, firewall }) => {
    await node.host.shell('iptables -P FORWARD DROP; ip6tables -P FORWARD DROP');
    const pod = await node.add('pod', { name: 'shared', number: 5, firewall: null }, [bridge]);
    const keys = { type: 'firewall', backend: 'iptables' };
    const added = await node.call(pod, 'ADD', keys, firewall);
    // An empty one may be left out.
    expect({ ...added.result, dns: {} }).toEqual({ ...pod.result, dns: {} });
    expect(await node.reaches(pod.pod, node.outside.addresses)).toBe(true);
    expectDone(await node.call(pod, 'CHECK', keys, firewall));
    await node.check(pod);
    expectDone(await node.call(pod, 'DEL', keys, firewall));
    await node.del(pod);
    expect((await node.filterRules()).join('\n')).not.toContain('10.60.5.');
  });
});
