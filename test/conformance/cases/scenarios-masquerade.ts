import { expect } from 'vitest';
import { connectOutside, type Outside } from '../../support/links.ts';
import { requireKernel, requireTool } from '../../support/needs.ts';
import { keptBridge, leftovers, nothing, snapshot } from '../../support/snapshot.ts';
import { startServer, whoSees } from '../../support/traffic.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { type Case, only } from '../suite/case.ts';
import type { Trial } from '../suite/trial.ts';

const ipam = {
  ranges: [[{ subnet: '10.30.0.0/16' }], [{ subnet: 'fd30::/64' }]],
  routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
};

/** A server that can answer only what comes from the host's own addresses. */
const serverOutside = async ({ host }: Trial): Promise<Outside> => {
  const outside = await connectOutside(host, ['198.51.100.0/24', '2001:db8:51::/64']);
  await startServer(outside.place, 80);
  // The kernel finishes an IPv6 address some time after its link is up.
  await waitUntil('the host has its IPv6 address', async () =>
    (await host.exec(['ip', '-6', 'route', 'show', 'table', 'local'])).includes(
      outside.hostAddresses[1] ?? '',
    ),
  );
  return outside;
};

const masquerade = (type: string, backend: 'iptables' | 'nftables' | undefined): Case => ({
  id: `${type}-masquerade-${backend ?? 'default'}`,
  covers: ['D1'],
  title: `ipMasq by ${backend ?? 'its own choice'}: the outside sees the host, neighbours each other`,
  applies: only(type),
  versions: 'newest',
  run: async (trial) => {
    requireTool(trial.context, 'busybox', 'iptables');
    requireKernel(trial.context, 'nftables');
    const { host } = trial;
    const outside = await serverOutside(trial);
    const chosen = backend === undefined ? {} : { ipMasqBackend: backend };
    const config = { ...trial.ipamConfig(ipam), ...chosen, ipMasq: true };
    const before = await snapshot(host);
    const [a, b] = [await trial.container({ config }), await trial.container({ config })];
    for (const container of [a, b]) await container.add();
    await startServer(b.pod, 80);
    if (backend !== undefined) {
      const rules = await host.exec(['iptables', '-t', 'nat', '-S']);
      expect(/MASQUERADE|SNAT/.test(rules)).toBe(backend === 'iptables');
    }
    for (const [index, outer] of outside.addresses.entries()) {
      expect(await whoSees(a.pod, outer, 80)).toBe(outside.hostAddresses[index]);
      expect(await whoSees(a.pod, b.addresses[index] ?? '', 80)).toBe(a.addresses[index]);
    }
    await a.check();
    await a.del();
    for (const [index, outer] of outside.addresses.entries()) {
      expect(await whoSees(b.pod, outer, 80)).toBe(outside.hostAddresses[index]);
    }
    await b.del();
    for (const { pod } of [a, b]) await pod.remove();
    expect(leftovers(before, await snapshot(host), keptBridge('cni0'))).toEqual(nothing);
  },
});

/** Masquerading, of bridge and ptp alike. */
export const masqueradeScenarios: readonly Case[] = ['bridge', 'ptp'].flatMap((type) =>
  ([undefined, 'iptables', 'nftables'] as const).map((backend) => masquerade(type, backend)),
);
