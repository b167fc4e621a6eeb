import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { expectPlugins, podwireBin, referenceBin } from '../support/binaries.ts';
import { newContainerId, type PrintedResult } from '../support/call-plugin.ts';
import { addChain, checkChain } from '../support/chain.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { Attachment, attachPod } from './attachment.ts';

const ipam = {
  type: 'host-local',
  ranges: [[{ subnet: '10.8.0.0/24' }], [{ subnet: 'fd08::/64' }]],
  routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
};
const plugins = [
  { type: 'bridge', isGateway: true, ipMasq: true, ipam },
  { type: 'ptp', ipMasq: true, ipam },
];

describe.for(plugins)('CHECK of $type', (plugin) => {
  let host: TestHost;
  beforeEach(async () => {
    host = await createHost({ name: 'check' });
  });
  afterEach(() => host.dispose());

  const config = { cniVersion: '1.1.0', name: 'checked', ...plugin };

  test('succeeds right after ADD, twenty times over', async () => {
    const pods = await Promise.all(Array.from({ length: 20 }, (_, index) => host.addPod(`pod${index}`)));
    for (const pod of pods) {
      const attachment = new Attachment(host, pod, config);
      await attachment.add();
      await attachment.check();
    }
  });

  test('minds no addition', async () => {
    const { pod, attachment } = await attachPod(host, 'pod', config);
    await pod.shell(`
      ip addr add 192.0.2.1/24 dev eth0; ip addr add 2001:db8::1/64 dev eth0
      ip route add 198.51.100.0/24 dev eth0; ip -6 route add 2001:db8:1::/64 dev eth0
      ip link set eth0 mtu 1300; ip link set eth0 multicast off; ip link add extra type ifb
      echo 0 >/proc/sys/net/ipv4/conf/eth0/arp_notify`);
    await attachment.check();
  });

  test('knows the netns by any of its paths', async () => {
    const { attachment } = await attachPod(host, 'pod', config);
    await host.shell('mkdir /run/other; ln -s /run/netns/pod /run/other/path');
    expect((await attachment.attempt('CHECK', { netns: '/run/other/path' })).exitCode).toBe(0);
  });

  test('finds the rules also when the record of ADD is lost', async () => {
    const { attachment } = await attachPod(host, 'pod', config);
    await host.shell('rm -r /run/podwire');
    await attachment.check();
    await host.shell('nft flush ruleset');
    expect(await attachment.finding()).toContain('packet filter');
  });

  test('accepts what a later tuning changes', async () => {
    expectPlugins(referenceBin, 'tuning');
    const tuning = {
      type: 'tuning',
      mac: '02:11:22:33:44:55',
      mtu: 1280,
      sysctl: { 'net.core.somaxconn': '500' },
    };
    const { name, cniVersion: _, ...first } = config;
    const conflist = { cniVersion: '1.0.0', name, plugins: [first, tuning] };
    const binDirs = [podwireBin, referenceBin];
    const chain = { conflist, binDirs, containerId: newContainerId(), netns: await host.addPod('pod') };
    const result = await addChain(host, chain);
    await checkChain(host, chain, result);
    // A tuning that does not write down the MTU it has set, in a version that has a place for it.
    const interfaces = result.interfaces?.map((entry) => ({ ...entry, mtu: 1500 }));
    const newest = { ...chain, conflist: { ...conflist, cniVersion: '1.1.0', plugins: [first] } };
    await checkChain(host, newest, { ...result, interfaces } as PrintedResult);
  });

  test.for([
    { what: 'absent', change: () => undefined, code: 7 },
    { what: 'no result', change: () => ({ ips: 'none' }), code: 7 },
    {
      what: 'without interfaces',
      change: (result: PrintedResult) => ({ ...result, interfaces: [] }),
      code: 105,
    },
    {
      what: "another container's",
      change: (result: PrintedResult) => ({
        ...result,
        interfaces: result.interfaces?.map((entry) => ({
          ...entry,
          ...(entry.sandbox && { sandbox: '/run/netns/b' }),
        })),
      }),
      code: 105,
    },
  ])('fails when prevResult is $what', async ({ change, code }) => {
    const { attachment } = await attachPod(host, 'pod', config);
    const prevResult = change(attachment.result as PrintedResult);
    const outcome = await attachment.attempt('CHECK', { config: { ...config, prevResult } });
    expect(outcome.error?.code).toBe(code);
  });
});
