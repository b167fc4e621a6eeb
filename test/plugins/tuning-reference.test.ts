import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { expectPlugins, podwireBin, referenceBin } from '../support/binaries.ts';
import { newContainerId } from '../support/call-plugin.ts';
import { addChain, type ChainCall, checkChain, delChain } from '../support/chain.ts';
import type { Pod } from '../support/pod.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { ping } from '../support/traffic.ts';
import { Attachment } from './attachment.ts';
import { tunedState } from './tuned-state.ts';

const everything = {
  mac: '02:aa:bb:cc:dd:01',
  mtu: 1380,
  promisc: true,
  allmulti: true,
  // Debian's knows no queue length, and no IFNAME in CHECK.
  sysctl: { 'net.ipv4.conf.eth0.arp_filter': '1', 'net.ipv4.ip_default_ttl': '77' },
};
const bins = [
  { first: 'ours', second: 'theirs', firstBin: podwireBin, secondBin: referenceBin },
  { first: 'theirs', second: 'ours', firstBin: referenceBin, secondBin: podwireBin },
];

describe('tuning beside the reference', () => {
  let host: TestHost;
  let pod: Pod;
  beforeEach(async () => {
    expectPlugins(referenceBin, 'bridge', 'tuning', 'host-local');
    host = await createHost({ name: 'tuning' });
    pod = await host.addPod('pod');
  });
  afterEach(() => host?.dispose());

  const addLink = (): Promise<string> =>
    host.shell(
      'ip link add v0 type veth peer name eth0 address 02:00:00:00:00:05 netns pod; ip link set v0 up; ip -n pod link set eth0 up',
    );
  const configOf = () => ({
    cniVersion: '1.0.0',
    name: 'tuned',
    type: 'tuning',
    prevResult: {
      interfaces: [{ name: 'eth0', mac: '02:00:00:00:00:05', sandbox: pod.netns }],
      ips: [{ address: '10.0.0.2/24', interface: 0 }],
    },
    ...everything,
  });

  test('the same result, the same interface, the same file', async () => {
    await addLink();
    const before = await tunedState(pod, 'eth0');
    const looks: unknown[] = [];
    for (const binDir of [referenceBin, podwireBin]) {
      const tuning = new Attachment(host, pod, configOf(), { binDir, containerId: 'one' });
      const { dns: _, ...result } = await tuning.add();
      const file = await host.exec(['cat', '/run/cni/tuning/one_eth0.json']);
      const {
        sysctl: _sysctl,
        podwire: _podwire,
        ...originals
      } = JSON.parse(file) as Record<string, unknown>;
      looks.push({ result, originals, state: await tunedState(pod, 'eth0') });
      await tuning.check();
      await tuning.del();
      const { arpFilter, ttl, ...attributes } = await tunedState(pod, 'eth0');
      const { arpFilter: _filter, ttl: _ttl, ...expected } = before;
      expect(attributes).toEqual(expected);
      // The reference leaves sysctls as they are.
      if (binDir === podwireBin) expect([arpFilter, ttl]).toEqual(['1', '77']);
    }
    expect(looks[1]).toEqual(looks[0]);
  });

  test.for(bins)('what $first changed, $second puts back', async ({ firstBin, secondBin }) => {
    await addLink();
    const { arpFilter: _filter, ttl: _ttl, ...before } = await tunedState(pod, 'eth0');
    const tuning = new Attachment(host, pod, configOf(), { binDir: firstBin });
    await tuning.add();
    const check = await tuning.attempt('CHECK', { binDir: secondBin });
    expect(check.exitCode, check.stdout).toBe(0);
    await tuning.del({ binDir: secondBin });
    expect(await tunedState(pod, 'eth0')).toMatchObject(before);
    expect(await host.exec(['ls', '-A', '/run/cni/tuning'])).toBe('');
    await tuning.del({ binDir: firstBin });
  });

  test.for(bins)('in a chain: bridge of $first, tuning of $second', async ({ firstBin, secondBin }) => {
    const ipam = {
      type: 'host-local',
      ranges: [[{ subnet: '10.61.0.0/24' }]],
      routes: [{ dst: '0.0.0.0/0' }],
    };
    const chain = (plugins: { type: string; [key: string]: unknown }[], binDir: string): ChainCall => ({
      conflist: { cniVersion: '1.0.0', name: 'chain', plugins },
      binDirs: [binDir],
      containerId,
      netns: pod,
    });
    const containerId = newContainerId();
    const bridge = chain([{ type: 'bridge', isGateway: true, ipam }], firstBin);
    const result = await addChain(host, bridge);
    const { prevResult: _, ...keys } = configOf();
    const tuning = new Attachment(
      host,
      pod,
      { ...keys, name: 'chain', prevResult: result },
      { containerId, binDir: secondBin },
    );
    const tuned = await tuning.add();
    expect(tuned.interfaces?.find(({ name }) => name === 'eth0')?.mac).toBe(everything.mac);
    await tuning.check();
    await checkChain(host, bridge, tuned);
    expect(await ping(pod, '10.61.0.1')).toBe(true);
    await tuning.del();
    await delChain(host, bridge, tuned);
  });
});
