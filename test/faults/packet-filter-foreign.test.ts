import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Attachment, attachPod } from '../plugins/attachment.ts';
import { expectPlugins, podwireBin } from '../support/binaries.ts';
import { connectOutside, type Outside } from '../support/links.ts';
import { requireKernel, requireTool } from '../support/needs.ts';
import type { Pod } from '../support/pod.ts';
import { leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { ping } from '../support/traffic.ts';
import { intact, repair } from './repair-call.ts';

const ipam = { type: 'host-local', subnet: '10.44.0.0/24', routes: [{ dst: '0.0.0.0/0' }] };
const network = { cniVersion: '1.1.0', name: 'walled', type: 'bridge', isGateway: true, ipMasq: true, ipam };

/**
 * Firewalls of others that drop what is forwarded; `open` is what lets this one pod pass, as the firewall
 * plugin would.
 */
const walls = {
  'firewalld, whose last rule rejects': {
    shut: `nft -f - <<'E'
      table inet firewalld {
        chain filter_FORWARD {
          type filter hook forward priority filter + 10; policy accept;
          ct state { established, related } accept
          iifname "lo" accept
          jump filter_FORWARD_ZONES
          reject with icmpx admin-prohibited
        }
        chain filter_FORWARD_ZONES { iifname "eth7" accept; }
      }
E`,
    open: 'nft insert rule inet firewalld filter_FORWARD_ZONES ip saddr 10.44.0.2 accept',
    chain: 'inet firewalld filter_FORWARD',
    needs: 'nftables',
  },
  'a ruleset with a policy': {
    shut: `nft add table ip site; nft add chain ip site forward '{ type filter hook forward priority 0; policy drop; }'
      nft add rule ip site forward ct state established,related accept`,
    open: 'nft insert rule ip site forward iifname cni0 accept',
    chain: 'ip site forward',
    needs: 'nftables',
  },
  "Docker's iptables": {
    shut: `iptables-nft -P FORWARD DROP
      iptables-nft -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
      iptables-nft -A FORWARD -i docker0 ! -o docker0 -j ACCEPT`,
    open: 'iptables-nft -I FORWARD -s 10.44.0.0/24 -m comment --comment "pods may" -j ACCEPT',
    chain: 'ip filter FORWARD',
    needs: 'iptables (nft)',
  },
  "Docker's legacy iptables": {
    shut: `iptables-legacy -P FORWARD DROP
      iptables-legacy -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
    open: 'iptables-legacy -I FORWARD -s 10.44.0.2/32 -j ACCEPT',
    chain: 'ip filter (iptables-legacy) FORWARD',
    needs: 'iptables (legacy)',
  },
} as const;

describe('a firewall that drops what pods send', () => {
  let host: TestHost;
  let outside: Outside;
  let pod: Pod;
  let attachment: Attachment;
  beforeEach(async (context) => {
    requireTool(context, 'ping', 'nft', 'iptables');
    expectPlugins(podwireBin, 'podwire', 'bridge');
    host = await createHost({ name: 'walled' });
    outside = await connectOutside(host, '198.51.100.0/24');
    ({ pod, attachment } = await attachPod(host, 'pod', network));
  });
  afterEach(() => host?.dispose());

  test.for(Object.entries(walls))(
    '%s: podwire repair warns and changes nothing; CHECK is about our own',
    async ([, { shut, open, chain, needs }], context) => {
      requireKernel(context, needs);
      const target = outside.addresses[0] ?? '';
      expect(await ping(pod, target)).toBe(true);
      expect(await repair(host)).toEqual(intact(1));
      await host.shell(shut);
      expect(await ping(pod, target)).toBe(false);
      const before = await snapshot(host);
      const report = await repair(host);
      expect(report).toEqual({ ...intact(1), warnings: [expect.stringContaining(`chain ${chain} drops`)] });
      expect(report.warnings[0]).toContain('"firewall" plugin');
      expect(report.warnings[0]).toContain(attachment.containerId);
      expect(leftovers(before, await snapshot(host))).toEqual(nothing);
      // Only the kernel can tell whether some rule lets the traffic pass: no alarm rather than a false one.
      await attachment.check();
      await host.shell(open);
      expect(await ping(pod, target)).toBe(true);
      expect(await repair(host)).toEqual(intact(1));
    },
  );

  test('is nothing to a network on which the host does not route', async () => {
    await attachment.del();
    const layer2 = { cniVersion: '1.1.0', name: 'layer2', type: 'bridge', bridge: 'cni9' };
    await attachPod(host, 'second', layer2);
    await host.shell(walls["Docker's iptables"].shut);
    expect(await repair(host)).toEqual(intact(1));
  });
});
