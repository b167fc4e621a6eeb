import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Attachment, attachPod } from '../plugins/attachment.ts';
import { expectPlugins, podwireBin } from '../support/binaries.ts';
import { connectOutside, type Outside } from '../support/links.ts';
import { requireKernel, requireTool } from '../support/needs.ts';
import type { Pod } from '../support/pod.ts';
import { leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { startServer, whoSees } from '../support/traffic.ts';
import { intact, repair } from './repair-call.ts';

const network = {
  cniVersion: '1.1.0',
  name: 'tabled',
  type: 'bridge',
  isGateway: true,
  ipMasq: true,
  ipMasqBackend: 'iptables',
  ipam: {
    type: 'host-local',
    ranges: [[{ subnet: '10.42.0.0/24' }], [{ subnet: 'fd42::/64' }]],
    routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
  },
};

/** With kubelet's hint in the legacy tables, podwire writes there, too. */
const variants = [
  { variant: 'nft', hint: '' },
  { variant: 'legacy', hint: 'iptables-legacy -t mangle -N KUBE-IPTABLES-HINT' },
] as const;

describe.for(variants)('masquerade by iptables-$variant', ({ variant, hint }) => {
  let host: TestHost;
  let outside: Outside;
  let one: { pod: Pod; attachment: Attachment };
  let two: { pod: Pod; attachment: Attachment };
  beforeEach(async (context) => {
    requireTool(context, 'busybox', `iptables-${variant}`, `ip6tables-${variant}`);
    requireKernel(context, `iptables (${variant})`);
    expectPlugins(podwireBin, 'podwire', 'bridge');
    host = await createHost({ name: `iptables-${variant}` });
    outside = await connectOutside(host, ['198.51.100.0/24', '2001:db8:51::/64']);
    await startServer(outside.place, 80);
    if (hint !== '') await host.shell(hint);
    one = await attachPod(host, 'one', network, { containerId: 'one' });
    two = await attachPod(host, 'two', network, { containerId: 'two' });
  });
  afterEach(() => host?.dispose());

  const chainOf = async (address: string): Promise<string> => {
    const rules = await host.exec([`iptables-${variant}-save`, '-t', 'nat']);
    const jump = rules.split('\n').find((line) => line.startsWith(`-A POSTROUTING -s ${address}/32 `));
    return jump?.split(' ').at(-1) ?? '';
  };

  test('CHECK sees and podwire repair mends what is flushed, deleted or changed', async () => {
    const chain = await chainOf(one.attachment.address());
    expect(chain).toMatch(/^CNI-[0-9a-f]{24}$/);
    const jump = `$(iptables-${variant}-save -t nat | grep -e '-j ${chain}$' | sed 's/-A //')`;
    const damages = [
      {
        damage: `iptables-${variant} -t nat -F`,
        found: /IPv4 rule .* is missing; IPv4 rule .* is missing/,
        both: true,
      },
      {
        damage: `ip6tables-${variant} -t nat -F; ip6tables-${variant} -t nat -X`,
        found: /IPv6 chain CNI-/,
        both: true,
      },
      {
        damage: `iptables-${variant} -t nat -F; iptables-${variant} -t nat -X`,
        found: /IPv4 chain CNI-/,
        both: true,
      },
      {
        damage: `eval "iptables-${variant} -t nat -D ${jump}"`,
        found: /IPv4 rule "-A POSTROUTING /,
        both: false,
      },
      {
        damage: `iptables-${variant} -t nat -R ${chain} 1 -j RETURN`,
        found: /-d 10\.42\.0\.0\/24 .*ACCEPT" is missing; .* -j RETURN" is not podwire's/,
        both: false,
      },
      { damage: `iptables-${variant} -t nat -D ${chain} 2`, found: /-j MASQUERADE"/, both: false },
    ];
    for (const { damage, found, both } of damages) {
      await host.shell(damage);
      for (const { attachment } of both ? [one, two] : [one]) {
        const { error } = await attachment.attempt('CHECK');
        expect({ damage, error }).toMatchObject({ error: { code: 105 } });
        expect(error?.details).toContain('podwire repair');
      }
      const report = await repair(host);
      expect(report).toMatchObject({ exitCode: 0, attachments: 2, intact: both ? 0 : 1, failed: [] });
      expect(report.repaired.map(({ what }) => what).join('\n')).toMatch(found);
      for (const { attachment } of [one, two]) await attachment.check();
      expect(await repair(host)).toEqual(intact(2));
    }
    // The exemption is in front again, and the repaired rules are those that DEL knows.
    await startServer(two.pod, 80);
    for (const [index, outer] of outside.addresses.entries()) {
      expect(await whoSees(one.pod, outer, 80)).toBe(outside.hostAddresses[index]);
      expect(await whoSees(one.pod, two.attachment.addresses[index] ?? '', 80)).toBe(
        one.attachment.addresses[index],
      );
    }
    for (const { attachment } of [one, two]) await attachment.del();
    expect(await host.exec([`iptables-${variant}-save`, '-t', 'nat'])).not.toContain('CNI-');
    expect(await host.exec([`ip6tables-${variant}-save`, '-t', 'nat'])).not.toContain('CNI-');
    await host.exec(['nft', 'flush', 'ruleset']);
  });

  test('the rules of others are left alone, and two interfaces share a chain', async () => {
    const other = { ...network, name: 'tabled', ipam: { ...network.ipam } };
    const second = { ...other, bridge: 'cni1', ipam: { type: 'host-local', subnet: '10.43.0.0/24' } };
    const { attachment } = await attachPod(host, 'three', second, { containerId: 'one', ifname: 'eth1' });
    await host.shell(`iptables-${variant} -t nat -N OTHERS
      iptables-${variant} -t nat -A OTHERS -j RETURN
      iptables-${variant} -t nat -A POSTROUTING -o lo -j OTHERS`);
    const before = await snapshot(host);
    const chain = await chainOf(one.attachment.address());
    expect(await chainOf(attachment.address())).toBe(chain);
    await host.shell(`iptables-${variant}-save -t nat | grep -e '-j ${chain}$' | sed 's/^-A/iptables-${variant} -t nat -D/' | sh -e
      iptables-${variant} -t nat -F ${chain}; iptables-${variant} -t nat -X ${chain}`);
    expect(await repair(host)).toMatchObject({ exitCode: 0, attachments: 3, intact: 1, failed: [] });
    await one.attachment.check();
    await attachment.check();
    expect(leftovers(before, await snapshot(host), [/^nft rule ip nat /])).toEqual(nothing);
    const rules = (await host.exec([`iptables-${variant}-save`, '-t', 'nat'])).split('\n');
    const targets = rules
      .filter((rule) => rule.startsWith(`-A ${chain} `))
      .map((rule) => rule.split(' ').at(-1));
    expect(targets).toEqual(['ACCEPT', 'ACCEPT', 'MASQUERADE']);
  });
});
