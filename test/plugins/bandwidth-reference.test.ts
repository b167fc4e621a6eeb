import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { expectPlugins, podwireBin, referenceBin } from '../support/binaries.ts';
import { expectDone, newContainerId, type PrintedResult } from '../support/call-plugin.ts';
import { addChain, type ChainCall, checkChain, delChain } from '../support/chain.ts';
import { requireKernel, requireTool } from '../support/needs.ts';
import { keptBridge, keptPortmapChains, leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { addChained, attachBefore, type Chained, type ChainedOptions } from './chained.ts';
import { linkOf } from './kernel-state.ts';

// The reference sets bursts in whole µs, so that only such are the same to the byte.
const config = {
  cniVersion: '1.0.0',
  name: 'limited',
  type: 'bandwidth',
  ingressRate: 8_000_000,
  ingressBurst: 800_000,
  egressRate: 16_000_000,
  egressBurst: 1_600_000,
};

let host: TestHost;
beforeEach(async (context) => {
  requireTool(context, 'tc', 'iptables');
  requireKernel(context, 'ifb');
  expectPlugins(referenceBin, 'bridge', 'ptp', 'host-local', 'bandwidth', 'portmap');
  expectPlugins(podwireBin, 'bridge', 'ptp', 'host-local', 'bandwidth');
  host = await createHost({ name: 'bandwidth' });
});
afterEach(() => host?.dispose());

describe('the same result and the same kernel objects as the reference', () => {
  test.for([
    { what: 'both directions', keys: {} },
    { what: 'to the container', keys: { egressRate: 0, egressBurst: 0 } },
    { what: 'from the container', keys: { ingressRate: 0, ingressBurst: 0 } },
    { what: 'fast', keys: { ingressRate: 1e9, ingressBurst: 1e7, egressRate: 4e9, egressBurst: 4e7 } },
    {
      what: "the runtime's rates",
      keys: Object.fromEntries(
        Object.keys(config)
          .slice(3)
          .map((key) => [key, null]),
      ),
      runtimeConfig: {
        bandwidth: { ingressRate: 1e6, ingressBurst: 2e5, egressRate: 1e6, egressBurst: 1e5 },
      },
    },
  ])('$what', async ({ keys, runtimeConfig }) => {
    const asked = { ...config, ...keys };
    // A key that is null is one that is given, to the reference.
    const network = {
      ...(Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== null)) as typeof config),
      ...(runtimeConfig && { runtimeConfig }),
    };
    const looks: Awaited<ReturnType<typeof look>>[] = [];
    for (const binDir of [podwireBin, referenceBin]) {
      const pod = await host.addPod('pod');
      const chain = await attachBefore(host, pod, network, { ...theirs, binDir, containerId: 'the-same' });
      await addChained(chain);
      looks.push(await look(chain));
      await chain.chained.del();
      await chain.network.del();
      await pod.remove();
      await host.shell('rm -rf /var/lib/cni/networks');
    }
    expect(looks[0]).toEqual(looks[1]);
  });

  const theirs: ChainedOptions = { networkBin: referenceBin };

  const look = async ({ network, chained }: Chained) => {
    const ifb = chained.result?.interfaces?.find(({ name }) => name.startsWith('bwp'))?.name;
    const tc = async (...args: string[]): Promise<unknown> =>
      JSON.parse(
        (await host.exec(['tc', '-s', '-j', ...args])).replaceAll(network.port, 'veth') || 'null',
        withoutCounters,
      );
    const link = ifb === undefined ? undefined : await linkOf(host, ifb);
    return {
      result: JSON.parse(JSON.stringify(chained.result).replaceAll(network.port, 'veth'), withoutMac),
      qdiscs: await tc('qdisc'),
      filters: await tc('filter', 'show', 'dev', network.port, 'parent', 'ffff:'),
      ifb: link && { mtu: link.mtu, flags: link.flags, linkinfo: link.linkinfo },
    };
  };

  const withoutMac = (key: string, value: unknown): unknown =>
    key === 'mac' ? 'xx' : key === 'dns' && Object.keys(value as object).length === 0 ? undefined : value;

  const counters = [
    ...['bytes', 'packets', 'backlog', 'qlen', 'overlimits', 'index'],
    ...['installed', 'first_used', 'last_used'],
  ];
  const withoutCounters = (key: string, value: unknown): unknown => {
    if (counters.includes(key)) return undefined;
    // The reference gives its filter the redirection twice; the kernel never comes to the second.
    return key === 'actions' ? (value as unknown[]).slice(0, 1) : value;
  };
});

describe('switching', () => {
  const bins = [
    { what: "ours takes over the reference's", first: referenceBin, second: podwireBin },
    { what: 'the reference takes over ours', first: podwireBin, second: referenceBin },
  ];
  test.for(bins)('$what: CHECK and DEL', async ({ first, second }) => {
    const pod = await host.addPod('pod');
    const before = await snapshot(host);
    const chain = await attachBefore(host, pod, config, { networkBin: first, binDir: first });
    await addChained(chain);
    expectDone(await chain.chained.attempt('CHECK', { binDir: second }));
    await chain.chained.del({ binDir: second });
    await chain.network.del({ binDir: second, path: [second] });
    // Our record, of which the reference cannot know, goes with the next GC.
    const ours = [/^file \/run\/podwire\/(attachments|bandwidth)\//, /^file \S+\/\.podwire\//];
    expect(leftovers(before, await snapshot(host), ours)).toEqual(nothing);
  });

  test('a burst that the reference rounds, and one of a runtime that it lets wrap around', async () => {
    for (const [index, ingressBurst] of [123_456, 2 ** 32 - 1].entries()) {
      const pod = await host.addPod(`pod${index}`);
      const runtimeConfig = { bandwidth: { ingressRate: 10_000_000, ingressBurst } };
      const { cniVersion, name, type } = config;
      const asked = { cniVersion, name, type, runtimeConfig };
      const chain = await attachBefore(host, pod, asked, { networkBin: referenceBin, binDir: referenceBin });
      await addChained(chain);
      expectDone(await chain.chained.attempt('CHECK', { binDir: podwireBin }));
    }
  });

  test("a DEL of ours without netns, prevResult and record removes the reference's", async () => {
    const pod = await host.addPod('pod');
    const chain = await attachBefore(host, pod, config, { networkBin: referenceBin, binDir: referenceBin });
    const before = await snapshot(host);
    await addChained(chain);
    chain.chained.result = undefined;
    await chain.chained.del({ binDir: podwireBin, netns: '' });
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);
  });
});

describe('mixed chains', () => {
  const ipam = { type: 'host-local', subnet: '10.44.0.0/24', routes: [{ dst: '0.0.0.0/0' }] };
  const portmap = { type: 'portmap', capabilities: { portMappings: true }, snat: true };
  const { cniVersion: _, name: __, ...bandwidth } = config;
  const lists = [
    [{ type: 'bridge', isGateway: true, ipam }, bandwidth, portmap],
    [{ type: 'bridge', isGateway: true, ipam }, portmap, bandwidth],
    [{ type: 'ptp', ipam }, portmap, bandwidth],
  ];
  test.for(
    lists.flatMap((plugins) => [
      { plugins, ours: ['bandwidth'] },
      { plugins, ours: [plugins[0]?.type ?? ''] },
    ]),
  )('$plugins.0.type, $plugins.1.type, $plugins.2.type; ours: $ours', async ({ plugins, ours }) => {
    const pod = await host.addPod('pod');
    const before = await snapshot(host);
    // Both directories have most plugins, so the list finds them in one of links.
    await host.shell(`mkdir /run/bin
      for plugin in bridge ptp host-local portmap bandwidth; do ln -s ${referenceBin}/$plugin /run/bin/; done
      for plugin in ${ours.join(' ')}; do ln -sf ${podwireBin}/$plugin /run/bin/; done`);
    const chain: ChainCall = {
      conflist: { cniVersion: '1.0.0', name: 'mixed', plugins },
      binDirs: [host.path('/run/bin')],
      containerId: newContainerId(),
      netns: pod,
      runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
    };
    const result: PrintedResult = await addChain(host, chain);
    expect(result.interfaces?.some(({ name }) => name.startsWith('bwp'))).toBe(true);
    // The reference's portmap does not pass its own CHECK without IPv6.
    const checked = plugins.filter(({ type }) => type !== 'portmap');
    await checkChain(host, { ...chain, conflist: { ...chain.conflist, plugins: checked } }, result);
    await delChain(host, chain, result);
    const kept = [...keptBridge('cni0'), ...keptPortmapChains];
    expect(leftovers(before, await snapshot(host), kept)).toEqual(nothing);
  });
});
