import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { expectPlugins, podwireBin } from '../support/binaries.ts';
import { newContainerId } from '../support/call-plugin.ts';
import { addChain, type ChainCall } from '../support/chain.ts';
import { connectOutside, type Outside } from '../support/links.ts';
import { requireKernel, requireTool } from '../support/needs.ts';
import type { Pod } from '../support/pod.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { throughput } from '../support/throughput.ts';

const ipam = {
  type: 'host-local',
  ranges: [[{ subnet: '10.41.0.0/24' }], [{ subnet: 'fd41::/64' }]],
  routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
};
const [rate, other] = [20_000_000, 40_000_000];

/**
 * Within 15 % of a limit; payload is 95 % of what the kernel counts. A machine that has no time for the
 * transfer gets two more chances to reach it, but none to exceed it.
 */
const expectLimit = async (limit: number, measure: () => Promise<number>): Promise<void> => {
  for (let attempt = 1; ; attempt += 1) {
    const speed = await measure();
    expect(speed).toBeLessThan(1.15 * limit);
    if (speed > 0.85 * limit) return;
    if (attempt === 3) expect(speed).toBeGreaterThan(0.85 * limit);
  }
};

const expectMore = async (limit: number, measure: () => Promise<number>): Promise<void> =>
  expect(await measure()).toBeGreaterThan(3 * limit);

describe('traffic of a container whose bandwidth is limited', () => {
  let host: TestHost;
  let outside: Outside;
  let pod: Pod;
  beforeEach(async (context) => {
    requireTool(context, 'iperf3', 'tc');
    requireKernel(context, 'ifb');
    expectPlugins(podwireBin, 'ptp', 'bridge', 'bandwidth');
    host = await createHost({ name: 'bandwidth' });
    outside = await connectOutside(host, ['198.51.100.0/24', '2001:db8:51::/64'], { defaultRoute: true });
    pod = await host.addPod('pod');
  });
  afterEach(() => host?.dispose());

  /** Attaches the pod and returns its addresses. */
  const attach = async (bandwidth: object, network: object = { type: 'ptp' }): Promise<string[]> => {
    const plugins = [
      { ...network, ipam },
      { type: 'bandwidth', ...bandwidth },
    ] as { type: string }[];
    const chain: ChainCall = {
      conflist: { cniVersion: '1.0.0', name: 'limited', plugins },
      binDirs: [podwireBin],
      containerId: newContainerId(),
      netns: pod,
    };
    const { ips = [] } = await addChain(host, chain);
    return ips.map(({ address }) => address.replace(/\/.*/, ''));
  };
  const toPod = (addresses: string[], index: 0 | 1) => (): Promise<number> =>
    throughput(outside.place, pod, { address: addresses[index] ?? '' });
  const fromPod = (index: 0 | 1) => (): Promise<number> =>
    throughput(pod, outside.place, { address: outside.addresses[index] ?? '' });

  test.for([
    { what: 'routed, with bursts', network: { type: 'ptp' }, bursts: true },
    { what: 'bridged, with the default bursts', network: { type: 'bridge', isGateway: true }, bursts: false },
  ])('each direction has its rate: $what', async ({ network, bursts }) => {
    const given = bursts ? { ingressBurst: 400_000, egressBurst: 800_000 } : {};
    const addresses = await attach({ ingressRate: rate, egressRate: other, ...given }, network);
    for (const index of [0, 1] as const) {
      await Promise.all([expectLimit(rate, toPod(addresses, index)), expectLimit(other, fromPod(index))]);
    }
  });

  test('a limit of one direction leaves the other alone', async () => {
    const addresses = await attach({ ingressRate: rate });
    await expectLimit(rate, toPod(addresses, 0));
    await expectMore(rate, fromPod(0));
  });

  test('the burst that runtimes give for "no limit" does not let all pass', async () => {
    const runtimeConfig = { bandwidth: { ingressRate: rate, ingressBurst: 2 ** 32 - 1 } };
    await expectLimit(rate, toPod(await attach({ runtimeConfig }), 0));
  });

  test('a burst less than a packet still lets packets pass', async () => {
    const speed = await toPod(await attach({ ingressRate: rate, ingressBurst: 800 }), 0)();
    expect(speed).toBeGreaterThan(0.2 * rate);
    expect(speed).toBeLessThan(1.15 * rate);
  });

  const limits = { ingressRate: rate, egressRate: rate };

  test('unshaped subnets reach more, in both directions', async () => {
    const addresses = await attach({ ...limits, unshapedSubnets: ['198.51.100.0/24'] });
    await expectMore(rate, toPod(addresses, 0));
    await expectMore(rate, fromPod(0));
    await Promise.all([expectLimit(rate, toPod(addresses, 1)), expectLimit(rate, fromPod(1))]);
  });

  test('only shaped subnets are limited', async () => {
    const addresses = await attach({ ...limits, shapedSubnets: ['2001:db8:51::/48', '192.0.2.0/24'] });
    await expectMore(rate, toPod(addresses, 0));
    await expectMore(rate, fromPod(0));
    await Promise.all([expectLimit(rate, toPod(addresses, 1)), expectLimit(rate, fromPod(1))]);
  });
});
