import { existsSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { podwireBin } from '../support/binaries.ts';
import { requireKernel } from '../support/needs.ts';
import { waitUntil } from '../support/wait-until.ts';
import { addPods, createCluster, netnsOf, podsOf, sameFamily, startAgents } from './lab/cluster.ts';
import { createLab, type Lab } from './lab/lab.ts';
import { outside } from './lab/plan.ts';
import { type Exchange, exchanges, faults, type Party, podParty, untilReached } from './lab/reach.ts';

// What other software and administrators do to a node, and registries that would lead traffic astray.
let lab: Lab | undefined;
beforeEach((context) => requireKernel(context, 'vxlan', 'ipv6'));
afterEach(() => lab?.dispose());

const between = (of: Lab): Exchange[] => exchanges(podsOf(of).map(podParty), podsOf(of).map(podParty));

const outward = (of: Lab): Exchange[] => {
  const world: Party = {
    name: 'outside',
    netns: of.outside.netnsPath,
    addresses: [outside.ipv4, outside.ipv6],
  };
  return exchanges(podsOf(of).map(podParty), [world], (from, _to, address) => {
    const node = of.nodes.find(({ pods: own }) => own.some(({ name }) => name === from.name));
    return [sameFamily(node?.entry.addresses ?? [], address) ?? ''];
  });
};

test.for([
  ['nft flush ruleset', []],
  ['nft delete table inet $(nft list tables | grep podwire | head -n 1 | cut -d" " -f3)', []],
  ['echo 0 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/ipv6/conf/all/forwarding', []],
  ['iptables -t nat -F; iptables -t nat -X || true; ip6tables -t nat -F', ['--nat-backend', 'iptables']],
] as const)('after "%s" the next sync restores the way out', async ([script, args]) => {
  lab = await createCluster({ segments: [0, 0], pods: 1, agentArgs: ['--sync-interval', '1', ...args] });
  expect(await faults(lab, outward(lab))).toEqual([]);
  await lab.node(1).host.shell(script);
  await untilReached(lab, [...outward(lab), ...between(lab)]);
});

test('reverse path filters are strict', async () => {
  lab = await createCluster({ segments: [0, 0], pods: 1, agentArgs: ['--sync-interval', '1'] });
  for (const { host } of lab.nodes) {
    await host.shell('for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 1 >$f; done');
  }
  await untilReached(lab, [...between(lab), ...outward(lab)]);
});

test.for(['before', 'after'] as const)(
  'what is forwarded is dropped unless allowed, since %s the agents began',
  async (when) => {
    lab = await createLab({ segments: [0, 0], agentArgs: ['--sync-interval', '1'] });
    const drop = async (): Promise<void> => {
      for (const { host } of lab?.nodes ?? [])
        await host.shell('iptables -P FORWARD DROP; ip6tables -P FORWARD DROP');
    };
    if (when === 'before') await drop();
    await startAgents(lab.nodes);
    for (const node of lab.nodes) await addPods(node, 1);
    await lab.prober.serve([lab.outside.netnsPath, ...podsOf(lab).map(netnsOf)]);
    if (when === 'after') await drop();
    await untilReached(lab, [...between(lab), ...outward(lab)]);
    // A rule that drops all, above ours, is passed; a jump that drops nothing is left where it is.
    const { host } = lab.node(1);
    await host.shell('iptables -N THEIRS; iptables -I FORWARD -j THEIRS');
    const before = await host.shell('iptables -S FORWARD');
    await lab.node(2).host.shell('iptables -I FORWARD -j REJECT');
    await untilReached(lab, [...between(lab), ...outward(lab)]);
    expect(await host.shell('iptables -S FORWARD')).toBe(before);
    for (const node of lab.nodes) {
      await node.stopAgent();
      await node.cleanup();
      expect(await node.host.shell('iptables-save; ip6tables-save')).not.toContain('PODWIRE');
    }
  },
);

test('with --no-forward-rules there are none, and those of before go', async () => {
  lab = await createLab({ segments: [0, 0] });
  const { host } = lab.node(1);
  await host.shell('iptables -P FORWARD DROP');
  await lab.node(1).sync();
  expect(await host.shell('iptables -S FORWARD')).toContain('-j PODWIRE-FORWARD-1');
  await lab.node(1).sync(['--no-forward-rules']);
  expect(await host.shell('iptables-save')).not.toContain('PODWIRE');
});

test('pods reach a metadata service at a link-local address, as their node', async () => {
  lab = await createCluster({ segments: [0, 0], pods: 1 });
  const metadata = '169.254.169.254';
  await lab.outside.exec(['ip', 'address', 'add', `${metadata}/32`, 'dev', 'lo']);
  await lab.switch.exec(['ip', 'route', 'add', `${metadata}/32`, 'via', outside.ipv4]);
  const service: Party = { name: 'metadata', netns: lab.outside.netnsPath, addresses: [metadata] };
  const asked = exchanges(podsOf(lab).map(podParty), [service], (from) => {
    const node = lab?.nodes.find(({ pods }) => pods.some(({ name }) => name === from.name));
    return [sameFamily(node?.entry.addresses ?? [], metadata) ?? ''];
  });
  // A UDP answer would come from the host's first address.
  await untilReached(
    lab,
    asked.filter(({ question }) => question.protocol === 'tcp'),
  );
});

test('the underlay goes down and up again', async () => {
  lab = await createCluster({
    segments: [0, 0, 1],
    pods: 1,
    agentArgs: ['--mode', 'cross-subnet', '--sync-interval', '1'],
  });
  await untilReached(lab, between(lab));
  const { host, entry } = lab.node(1);
  await host.shell(`ip link set eth0 down; ip link set eth0 up; ip addr replace ${entry.addresses[1]}/64 dev eth0 nodad
ip route replace default via 198.51.100.254; ip -6 route replace default via 2001:db8:0:a::fe`);
  await untilReached(lab, between(lab), 20_000);
});

test('the underlay’s MTU becomes smaller: the VTEP follows, and new pods', async () => {
  lab = await createCluster({ segments: [0, 0], underlay: 'ipv4', agentArgs: ['--sync-interval', '1'] });
  const node = lab.node(1);
  await node.host.exec(['ip', 'link', 'set', 'eth0', 'mtu', '1400']);
  await waitUntil('the VTEP has 1350', () => node.state().mtu === 1350);
  const pod = await node.addPod('smaller');
  expect(await pod.pod.exec(['ip', 'link', 'show', 'eth0'])).toContain('mtu 1350 ');
});

test.for([
  ['vxlan', 'direct'],
  ['direct', 'vxlan'],
] as const)('all nodes go from mode %s to %s', async ([before, after]) => {
  lab = await createCluster({ segments: [0, 0], pods: 1, agentArgs: ['--mode', before] });
  await untilReached(lab, between(lab));
  for (const node of lab.nodes) {
    await node.stopAgent();
    node.startAgent(['--mode', after]);
  }
  for (const node of lab.nodes) await node.ready();
  await untilReached(lab, between(lab));
  for (const node of lab.nodes) expect(node.peers().map(({ via }) => via)).toEqual([after]);
});

test.for([
  ['after --cleanup', true],
  ['just so', false],
] as const)('all nodes go to another VNI and port %s', async ([, cleansUp]) => {
  lab = await createCluster({ segments: [0, 0], pods: 1 });
  for (const node of lab.nodes) {
    await node.stopAgent();
    if (cleansUp) await node.cleanup();
  }
  await startAgents(lab.nodes, ['--vni', '7', '--port', '4789'], 7);
  await untilReached(lab, [...between(lab), ...outward(lab)]);
  for (const { host } of lab.nodes) {
    const links = await host.exec(['ip', '-br', 'link']);
    expect(links).toMatch(/^pwvxlan7 /m);
    expect(links).not.toMatch(/^pwvxlan1 /m);
    expect(existsSync(host.path('/run/podwire/overlay/1/node.json'))).toBe(false);
    expect(await host.shell('nft list tables')).not.toMatch(/podwire_overlay1$/m);
  }
});

test('two overlays on the same nodes, with VNIs, agents and networks of their own', async () => {
  lab = await createCluster({ segments: [0, 0], pods: 1 });
  const file = `${lab.directory}/second.json`;
  const second = lab.nodes.map(({ number, entry }) => ({ ...entry, podCIDRs: [`10.77.${number}.0/24`] }));
  writeFileSync(file, JSON.stringify({ nodes: second }));
  const directory = '/run/second';
  const parties: Party[] = [];
  for (const { name, host } of lab.nodes) {
    await host.exec(['mkdir', directory]);
    const agent = ['agent', '--once', '--registry', 'file', '--registry-file', file, '--node', name];
    await host.exec([`${podwireBin}/podwire`, ...agent, '--vni', '2', '--cni-conf-dir', directory]);
    const netns = (await host.addPod(`${name}-second`)).netns;
    const run = ['run', 'add', 'podwire', netns, '--container-id', `${name}-second`, '--conf-dir', directory];
    const result = JSON.parse(
      await host.exec([`${podwireBin}/podwire`, ...run, '--bin-dir', podwireBin, '--json']),
    );
    const addresses = (result.ips as { address: string }[]).map(({ address }) => address.split('/')[0] ?? '');
    parties.push({ name: `${name}-second`, netns: host.path(netns), addresses });
  }
  expect(parties.map(({ addresses }) => addresses)).toEqual([['10.77.1.2'], ['10.77.2.2']]);
  await lab.prober.serve(parties.map(({ netns }) => netns));
  await untilReached(lab, [...exchanges(parties, parties), ...between(lab)]);
  const text = await lab.node(1).podwire(['topology']);
  expect(text).toContain('VNI 1,');
  expect(text).toContain('VNI 2,');
  expect(text).not.toContain('✗');
});

test.for([
  ['all of IPv4', ['0.0.0.0/0']],
  ['the underlay’s subnet', ['198.51.100.0/24']],
  ['another node’s range', ['10.244.2.0/24']],
  ['a part of another node’s range', ['10.244.2.128/25']],
  ['a supernet of all ranges', ['10.244.0.0/16']],
  ['loopback', ['127.0.0.0/8']],
  ['multicast', ['224.0.0.0/4']],
] as const)('a node that claims %s leads nobody astray', async ([, podCIDRs]) => {
  lab = await createCluster({ segments: [0, 0], pods: 1 });
  await untilReached(lab, [...between(lab), ...outward(lab)]);
  lab.register([
    ...lab.nodes.map(({ entry }) => entry),
    { name: 'zz', addresses: ['198.51.100.66'], podCIDRs: [...podCIDRs] },
    { name: 'n3', addresses: ['198.51.100.3'], podCIDRs: ['10.244.3.0/24'] },
  ]);
  // The valid newcomer shows that this file was taken.
  await waitUntil('n1 knows n3', () =>
    lab
      ?.node(1)
      .peers()
      .some(({ name }) => name === 'n3'),
  );
  await waitUntil('n2 knows n3', () =>
    lab
      ?.node(2)
      .peers()
      .some(({ name }) => name === 'n3'),
  );
  expect(await faults(lab, [...between(lab), ...outward(lab)])).toEqual([]);
});
