import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connectOutside, type Outside } from '../support/links.ts';
import { requireKernel, requireTool } from '../support/needs.ts';
import { keptBridge, leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { startServer, whoSees } from '../support/traffic.ts';
import { Attachment, attachPod } from './attachment.ts';

const ipam = {
  type: 'host-local',
  ranges: [[{ subnet: '10.5.0.0/24' }], [{ subnet: 'fd05::/64' }]],
  routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
};
const plugins = [
  { type: 'bridge', isGateway: true, ipam },
  { type: 'ptp', ipam },
];
const backends = ['nftables', 'iptables', undefined];

describe.for(plugins)('ipMasq of $type', (plugin) => {
  let host: TestHost;
  let outside: Outside;
  beforeEach(async (context) => {
    requireTool(context, 'busybox');
    host = await createHost({ name: 'masquerade' });
    outside = await connectOutside(host, ['198.51.100.0/24', '2001:db8:51::/64']);
    await startServer(outside.place, 80);
    // The kernel finishes an IPv6 address some time after its link is up.
    const routes = (): Promise<string> => host.exec(['ip', '-6', 'route', 'show', 'table', 'local']);
    await expect.poll(routes).toContain(outside.hostAddresses[1]);
  });
  afterEach(() => host?.dispose());

  test.for(backends.map((backend) => ({ backend })))('by $backend', async ({ backend }, context) => {
    if (backend !== 'iptables') requireKernel(context, 'nftables');
    if (backend === 'iptables') requireTool(context, 'iptables');
    const config = { cniVersion: '1.0.0', name: 'masq', ...plugin, ipMasq: true };
    const before = await snapshot(host);
    const chosen = { ...config, ...(backend === undefined ? {} : { ipMasqBackend: backend }) };
    const a = await attachPod(host, 'a', chosen);
    const b = await attachPod(host, 'b', chosen);
    await startServer(b.pod, 80);
    const rules = await host.exec(['nft', 'list', 'ruleset']);
    expect(rules.includes('podwire_masquerade')).toBe(backend !== 'iptables');
    expect(rules.includes('chain CNI-')).toBe(backend === 'iptables');
    for (const [index, outer] of outside.addresses.entries()) {
      expect(await whoSees(a.pod, outer, 80)).toBe(outside.hostAddresses[index]);
      // Within the subnet everybody goes by his own name.
      const own = a.attachment.addresses[index];
      expect(await whoSees(a.pod, b.attachment.addresses[index] ?? '', 80)).toBe(own);
    }
    await a.attachment.check();
    await a.attachment.del();
    // What is left is b's.
    expect(await whoSees(b.pod, outside.addresses[0] ?? '', 80)).toBe(outside.hostAddresses[0]);
    expect(await host.exec(['nft', 'list', 'ruleset'])).not.toContain(a.attachment.address());
    await b.attachment.del();
    await Promise.all([a.pod.remove(), b.pod.remove()]);
    const left = leftovers(before, await snapshot(host), keptBridge('cni0'));
    expect(left).toEqual(nothing);
  });

  test('leaves multicast alone', async (context) => {
    requireTool(context, 'ping', 'nft');
    const config = { cniVersion: '1.0.0', name: 'masq', ...plugin, ipMasq: true };
    const { attachment } = await attachPod(host, 'pod', config);
    // The host in the pod's place, as only what it sends itself passes its packet filter for certain.
    const [own, target = ''] = [attachment.address(), outside.addresses[0]];
    await host.shell(`ip addr add ${own}/32 dev out0; ip route add 224.0.0.0/4 dev out0`);
    await outside.place.exec(['nft', '-f', '-'], {
      stdin: `table ip t { chain c { type filter hook prerouting priority -300;
        ip saddr ${own} ip daddr 224.0.0.99 counter; ip saddr ${own} ip daddr ${target} counter; }; }`,
    });
    for (const address of ['224.0.0.99', target]) {
      await host.attempt(['ping', '-n', '-q', '-c', '1', '-W', '1', '-I', own, address]);
    }
    const counters = await outside.place.exec(['nft', 'list', 'ruleset']);
    expect([...counters.matchAll(/counter packets (\d+)/g)].map(([, packets]) => packets)).toEqual([
      '1',
      '0',
    ]);
  });

  test('refuses a backend it does not know, and nothing is left', async () => {
    const pod = await host.addPod('pod');
    const before = await snapshot(host);
    const config = { cniVersion: '1.0.0', name: 'masq', ...plugin, ipMasq: true, ipMasqBackend: 'ebtables' };
    const attachment = new Attachment(host, pod, config);
    const { error } = await attachment.attempt('ADD');
    expect(error?.code).toBe(2);
    expect(error?.msg).toContain('"ipMasqBackend"');
    expect(error?.msg).toContain('"ebtables"');
    await attachment.del();
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);
  });
});
