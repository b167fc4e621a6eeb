import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { expectPlugins, podwireBin, referenceBin } from '../support/binaries.ts';
import {
  callPlugin,
  expectDone,
  expectResult,
  newContainerId,
  type PluginCall,
} from '../support/call-plugin.ts';
import { addChain, type ChainCall, checkChain, delChain } from '../support/chain.ts';
import { connectOutside } from '../support/links.ts';
import { requireKernel, requireTool } from '../support/needs.ts';
import { keptBridge, leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { ping, startServer, whoSees } from '../support/traffic.ts';
import { keptFrames } from './shipped.ts';

// Our plugins and the reference's in one network: each has to accept the other's results, delegate to
// it, and share host-local's directory with it.
const ipam = {
  type: 'host-local',
  ranges: [[{ subnet: '10.76.0.0/24' }], [{ subnet: 'fd76::/64' }]],
  routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
};
const bridge = { type: 'bridge', bridge: 'cni0', isGateway: true, ipMasq: true, hairpinMode: true, ipam };
const chainedPlugins = ['portmap', 'bandwidth', 'firewall'];

describe('mixed with the reference plugins', () => {
  let host: TestHost;
  beforeEach(async (context) => {
    requireTool(context, 'busybox');
    expectPlugins(referenceBin, 'bridge', 'host-local', 'loopback', ...chainedPlugins);
    expectPlugins(podwireBin, 'bridge', 'host-local', 'loopback', ...chainedPlugins);
    host = await createHost({ name: 'mixed' });
  });
  afterEach(() => host?.dispose());

  test.for([
    { whose: 'their bridge with our host-local', binDir: referenceBin, path: [podwireBin] },
    { whose: 'our bridge with their host-local', binDir: podwireBin, path: [referenceBin] },
  ])('$whose', async ({ binDir, path }) => {
    const [a, b] = [await host.addPod('a'), await host.addPod('b')];
    const before = await snapshot(host);
    const config = { cniVersion: '1.0.0', name: 'mixed', ...bridge };
    const call: Omit<PluginCall, 'command'> = { binDir, plugin: 'bridge', path, config };
    const forA = { ...call, containerId: newContainerId(), netns: a };
    const forB = { ...call, containerId: newContainerId(), netns: b };
    const result = expectResult(await callPlugin(host, { ...forA, command: 'ADD' }));
    expectResult(await callPlugin(host, { ...forB, command: 'ADD' }));
    expect(result.ips?.map(({ address }) => address)).toEqual(['10.76.0.2/24', 'fd76::2/64']);
    expect(await ping(a, '10.76.0.3')).toBe(true);
    expect(await ping(b, 'fd76::2')).toBe(true);
    expect((await host.exec(['cat', '/var/lib/cni/networks/mixed/10.76.0.2'])).trim()).toBe(
      `${forA.containerId}\r\neth0`,
    );
    expectDone(
      await callPlugin(host, { ...forA, command: 'CHECK', config: { ...config, prevResult: result } }),
    );
    expectDone(await callPlugin(host, { ...forA, command: 'DEL' }));
    expectDone(await callPlugin(host, { ...forB, command: 'DEL' }));
    expect(leftovers(before, await snapshot(host), keptBridge('cni0'))).toEqual(nothing);
  });

  // What the reference's CHECK refuses of its own ADD is left out: its portmap looks for the IPv4 rules
  // among the IPv6 ones.
  test.for([
    {
      whose: 'our bridge before their portmap, bandwidth and firewall',
      network: podwireBin,
      chained: referenceBin,
    },
    {
      whose: 'their bridge before our portmap, bandwidth and firewall',
      network: referenceBin,
      chained: podwireBin,
    },
  ])('$whose: a published port', async ({ network, chained }, context) => {
    requireTool(context, 'tc', 'nft', 'iptables');
    requireKernel(context, 'nftables', 'ifb', 'iptables (nft)');
    const outside = await connectOutside(host, ['198.51.100.0/24', '2001:db8:51::/64']);
    const [pod, other] = [await host.addPod('pod'), await host.addPod('other')];
    await startServer(pod, 80);
    const before = await snapshot(host);
    const links = await linkPlugins(host, {
      bridge: network,
      'host-local': network,
      ...Object.fromEntries(chainedPlugins.map((plugin) => [plugin, chained])),
    });
    const conflist = {
      cniVersion: '1.0.0',
      name: 'mixed',
      plugins: [
        bridge,
        { type: 'portmap', capabilities: { portMappings: true }, snat: true },
        { type: 'bandwidth', capabilities: { bandwidth: true } },
        { type: 'firewall' },
      ],
    };
    const chain: ChainCall = { conflist, binDirs: [links], containerId: newContainerId(), netns: pod };
    const limits = { ingressRate: 50e6, ingressBurst: 8e6, egressRate: 50e6, egressBurst: 8e6 };
    const published: ChainCall = {
      ...chain,
      runtimeConfig: {
        portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }],
        bandwidth: limits,
      },
    };
    const neighbour = { ...chain, containerId: newContainerId(), netns: other };
    const result = await addChain(host, published);
    const neighbourResult = await addChain(host, neighbour);
    expect(result.ips).toHaveLength(2);
    expect(await host.exec(['tc', 'qdisc'])).toMatch(/qdisc tbf .* rate 50Mbit/);
    expect((await host.exec(['nft', 'list', 'tables'])).includes('podwire_portmap')).toBe(
      chained !== referenceBin,
    );
    const [host4 = '', host6 = ''] = outside.hostAddresses;
    expect(await whoSees(outside.place, host4, 8080)).toBe(outside.addresses[0]);
    expect(await whoSees(outside.place, host6, 8080)).toBe(outside.addresses[1]);
    // From a neighbour on the bridge, and from the pod itself through the hairpin.
    expect(await whoSees(other, host4, 8080)).toBeDefined();
    expect(await whoSees(pod, host4, 8080)).toBeDefined();
    const checked = conflist.plugins.filter(({ type }) => chained !== referenceBin || type !== 'portmap');
    await checkChain(host, { ...published, conflist: { ...conflist, plugins: checked } }, result);
    await delChain(host, published, result);
    await delChain(host, neighbour, neighbourResult);
    expect(await whoSees(outside.place, host4, 8080)).toBeUndefined();
    const kept = [...keptBridge('cni0'), ...keptFrames];
    expect(leftovers(before, await snapshot(host), kept)).toEqual(nothing);
  });

  test.for([
    { whose: 'their bridge before our loopback', first: referenceBin, last: podwireBin },
    { whose: 'our bridge before their loopback', first: podwireBin, last: referenceBin },
  ])('$whose', async ({ first, last }) => {
    const pod = await host.addPod('pod');
    const before = await snapshot(host);
    const links = await linkPlugins(host, { bridge: first, 'host-local': first, loopback: last });
    const conflist = { cniVersion: '1.0.0', name: 'mixed', plugins: [bridge, { type: 'loopback' }] };
    const chain: ChainCall = {
      conflist,
      binDirs: [links],
      containerId: newContainerId(),
      netns: pod,
    };
    const result = await addChain(host, chain);
    expect(result.interfaces?.map(({ name }) => name)).toContain('eth0');
    expect(await ping(pod, '127.0.0.1')).toBe(true);
    expect(await ping(pod, '10.76.0.1')).toBe(true);
    await checkChain(host, chain, result);
    await delChain(host, chain, result);
    expect(leftovers(before, await snapshot(host), keptBridge('cni0'))).toEqual(nothing);
  });
});

// Both directories have every plugin, so that a directory of links has to say which is whose.
const linkPlugins = async (host: TestHost, from: Record<string, string>): Promise<string> => {
  const directory = '/run/bin';
  await host.exec(['mkdir', directory]);
  for (const [plugin, binDir] of Object.entries(from))
    await host.exec(['ln', '-s', `${binDir}/${plugin}`, `${directory}/`]);
  return host.path(directory);
};
