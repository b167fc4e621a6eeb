import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { expectPlugins, podwireBin, referenceBin } from '../support/binaries.ts';
import { expectResult } from '../support/call-plugin.ts';
import { lackingKernel, requireKernel, requireTool, skipFor } from '../support/needs.ts';
import type { Place } from '../support/pod.ts';
import { type ChainedPod, createFirewallNode, type FirewallNode } from './firewall-node.ts';

interface Party {
  place: Place;
  addresses: string[];
}

describe('who reaches whom', () => {
  let node: FirewallNode;
  beforeEach(async (context) => {
    requireTool(context, 'nft', 'iptables', 'ping');
    requireKernel(context, 'nftables', 'iptables (nft)');
    node = await createFirewallNode();
  });
  afterEach(() => node?.host.dispose());

  /**
   * Two pods on one bridge that see each other through the host only, one on another, one without firewall,
   * which is made by the plugin of `binDir`.
   */
  const parties = async (keys: Record<string, unknown>, binDir: string): Promise<Record<string, Party>> => {
    const pods: [string, ChainedPod][] = [];
    for (const [name, number, bridge, firewall] of [
      ['a1', 11, 'cniA', keys],
      ['a2', 12, 'cniA', keys],
      ['b', 13, 'cniB', keys],
      ['c', 14, 'cniC', null],
    ] as const) {
      // A bridge has one gateway address of the plugin's.
      const isGateway = name !== 'a2';
      const network = { name: `net${number}`, number, bridge, isGateway, firewall: null };
      const pod = await node.add(name, network);
      if (firewall !== null)
        expectResult(await node.call(pod, 'ADD', { type: 'firewall', ...firewall }, binDir));
      pods.push([name, pod]);
      if (!isGateway) {
        await node.host.shell(
          `ip addr add 10.60.${number}.1/24 dev ${bridge}; ip addr add fd60:${number}::1/64 dev ${bridge} nodad`,
        );
      }
    }
    const places = pods.map(([name, { pod, addresses }]) => [name, { place: pod, addresses }] as const);
    const { place, addresses } = node.outside;
    return Object.fromEntries([...places, ['outside', { place, addresses }]]);
  };
  /** `a1>b` for each pair of which the first reaches the second. */
  const reached = async (all: Record<string, Party>): Promise<string[]> => {
    const pairs = Object.keys(all).flatMap((from) => Object.keys(all).map((to) => [from, to] as const));
    const outcomes = await Promise.all(
      pairs
        .filter(([from, to]) => from !== to)
        .map(async ([from, to]) => {
          const [source, target] = [all[from], all[to]];
          if (source === undefined || target === undefined) throw new Error('no such party');
          return (await node.reaches(source.place, target.addresses)) ? [`${from}>${to}`] : [];
        }),
    );
    return outcomes.flat().toSorted();
  };
  const everybody = (names: string[]): string[] =>
    names.flatMap((from) => names.filter((to) => to !== from).map((to) => `${from}>${to}`)).toSorted();
  const all = everybody(['a1', 'a2', 'b', 'c', 'outside']);
  // A policy keeps bridges with a policy apart, and nobody else: as the reference.
  const apart = all.filter((pair) => !/^a\d>b$|^b>a\d$/.test(pair));
  const expected = {
    open: all,
    'same-bridge': apart,
    isolated: apart.filter((pair) => !/^a\d>a\d$/.test(pair)),
  };

  for (const [ingressPolicy, pairs] of Object.entries(expected)) {
    test.for(['nftables', 'iptables'])(`with the policy ${ingressPolicy} (%s)`, async (backend) => {
      expect(await reached(await parties({ backend, ingressPolicy }, podwireBin))).toEqual(pairs);
    });
  }

  test.for(['open', 'same-bridge'] as const)('the reference alike: %s', async (ingressPolicy) => {
    expectPlugins(referenceBin, 'bridge', 'firewall', 'host-local');
    const keys = { backend: 'iptables', ingressPolicy };
    expect(await reached(await parties(keys, referenceBin))).toEqual(expected[ingressPolicy]);
  });

  test('an isolated bridge keeps its ports apart where bridged frames are filtered', async (context) => {
    const setting = '/proc/sys/net/bridge/bridge-nf-call-iptables';
    const { exitCode } = await node.host.attempt(['test', '-e', setting]);
    if (exitCode !== 0) context.skip('the kernel has no br_netfilter');
    for (const backend of ['nftables', 'iptables']) {
      const bridge = backend === 'nftables' ? 'cniN' : 'cniI';
      const network = { name: backend, number: bridge === 'cniN' ? 21 : 22, bridge };
      const firewall = { backend, ingressPolicy: 'isolated' };
      const one = await node.add(`${backend}1`, { ...network, firewall });
      const two = await node.add(`${backend}2`, { ...network, firewall });
      expect(await node.reaches(one.pod, two.addresses)).toBe(false);
    }
  });

  test('a policy can be changed', async () => {
    const network = { name: 'changing', number: 31, bridge: 'cniX' };
    await node.add('first', { ...network, firewall: { backend: 'nftables', ingressPolicy: 'isolated' } });
    const second = await node.add('second', {
      ...network,
      firewall: { backend: 'nftables', ingressPolicy: 'same-bridge' },
    });
    await node.check(second);
    const table = await node.host.exec(['nft', 'list', 'map', 'inet', 'podwire_firewall', 'within']);
    expect(table).toContain('jump same-bridge');
    expect(table).not.toContain('jump isolated');
  });

  test.for([
    { what: 'the nft variant', variant: '-nft', feature: 'iptables (nft)' },
    { what: 'the legacy variant', variant: '-legacy', feature: 'iptables (legacy)' },
  ] as const)('on a node whose FORWARD chain drops, by $what', async ({ variant, feature }, context) => {
    skipFor(context, lackingKernel(feature));
    await node.host.shell(`iptables${variant} -P FORWARD DROP; ip6tables${variant} -P FORWARD DROP`);
    const network = (number: number, firewall: Record<string, unknown> | null) => ({
      name: `net${number}`,
      number,
      bridge: `cni${number}`,
      firewall,
    });
    const bare = await node.add('bare', network(40, null));
    expect(await node.reaches(bare.pod, node.outside.addresses)).toBe(false);
    for (const [index, backend] of [undefined, 'iptables', 'nftables'].entries()) {
      const firewall = backend === undefined ? {} : { backend };
      const pod = await node.add(`pod${index}`, network(41 + index, firewall));
      expect(await node.reaches(pod.pod, node.outside.addresses), `${backend}`).toBe(true);
      // It is let out and answered, not called.
      expect(await node.reaches(node.outside.place, pod.addresses), `to ${backend}`).toBe(false);
      await node.check(pod);
      await node.del(pod);
      expect((await node.filterRules(variant)).join('\n')).not.toContain(`${pod.addresses[0]}/`);
    }
  });

  test('CHECK finds a chain that began to drop after ADD, and ADD lets the pod through again', async () => {
    const pod = await node.add('pod', { name: 'later', number: 50 });
    await node.host.shell('iptables -P FORWARD DROP; ip6tables -P FORWARD DROP');
    expect(await node.reaches(pod.pod, node.outside.addresses)).toBe(false);
    expect((await node.call(pod, 'CHECK')).error).toMatchObject({ code: 105 });
    expect((await node.call(pod, 'ADD')).exitCode).toBe(0);
    expect(await node.reaches(pod.pod, node.outside.addresses)).toBe(true);
    await node.check(pod);
  });
});
