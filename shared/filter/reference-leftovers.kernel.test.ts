import { existsSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createFilterHost, type FilterHost, lackingForFilter } from '../../test/support/filter-host.ts';
import type { Pod } from '../../test/support/pod.ts';

const REFERENCE = '/usr/lib/cni';
const lacking =
  lackingForFilter('iptables (nft)', 'iptables (legacy)', 'nftables bridge family') ??
  (existsSync(`${REFERENCE}/bridge`) ? undefined : 'not installed: containernetworking-plugins');

const config = JSON.stringify({
  cniVersion: '1.0.0',
  name: 'mynet',
  type: 'bridge',
  bridge: 'br0',
  ipMasq: true,
  macspoofchk: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/16' }], [{ subnet: 'fd00:1::/64' }]] },
});

describe('pods of the reference plugins', () => {
  let host: FilterHost;
  let pods = 0;

  beforeEach((context) => {
    if (lacking !== undefined) context.skip(lacking);
  });

  beforeAll(async () => {
    if (lacking !== undefined) return;
    host = await createFilterHost();
  });

  afterAll(() => host?.host.dispose());

  const reference = (command: string, containerId: string, pod: Pod) =>
    host.host.exec([`${REFERENCE}/bridge`], {
      stdin: config,
      env: {
        PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
        CNI_COMMAND: command,
        CNI_CONTAINERID: containerId,
        CNI_NETNS: pod.netns,
        CNI_IFNAME: 'eth0',
        CNI_PATH: REFERENCE,
      },
    });

  const addPod = async (containerId: string) => {
    pods += 1;
    const pod = await host.host.addPod(`ref${pods}`);
    const { ips } = JSON.parse(await reference('ADD', containerId, pod)) as { ips: { address: string }[] };
    const addresses = ips.map(({ address }) => ({ address: address.replace(/\/.*/, ''), subnet: address }));
    return { pod, addresses, owner: { network: 'mynet', containerId, ifname: 'eth0' } };
  };

  const rules = async () =>
    (
      await host.host.shell('iptables-save -t nat; ip6tables-save -t nat; nft list ruleset bridge')
    ).replaceAll(/^#.*\n/gm, '');

  test('our iptables rules are the reference’s, byte for byte, and either removes the other’s', async () => {
    const { pod, addresses, owner } = await addPod('swapped');
    const theirs = await host.host.shell('iptables-save -t nat; ip6tables-save -t nat');
    expect(theirs).toContain('name: \\"mynet\\" id: \\"swapped\\"');
    await host.perform({ verb: 'check', owner, addresses, backend: 'iptables' });
    await host.perform({ verb: 'remove', owner, addresses, backend: 'iptables' });
    expect(await rules()).not.toContain('-A ');
    await host.perform({ verb: 'apply', owner, addresses, backend: 'iptables' });
    const ours = await host.host.shell('iptables-save -t nat; ip6tables-save -t nat');
    expect(sorted(ours)).toEqual(sorted(theirs));
    await reference('DEL', 'swapped', pod);
    expect(await rules()).not.toContain('-A ');
  });

  test('leftovers of one pod go, all else stays', async () => {
    const gone = await addPod('gone');
    const stays = await addPod('stays');
    await host.host.shell(`
      iptables -w -t nat -A POSTROUTING -s 10.9.9.9 -j RETURN
      nft add chain bridge nat foreign
      nft add rule bridge nat PREROUTING iifname foreign0 accept`);
    const before = await rules();
    expect(before).toContain('cni-br-iface-gone-eth0-mac');
    await host.perform({ verb: 'leftovers', owner: gone.owner });
    const after = await rules();
    expect(after).not.toContain('gone');
    const { owner, addresses } = stays;
    await host.perform({ verb: 'check', owner, addresses, backend: 'iptables' });
    for (const kept of ['10.9.9.9', 'chain foreign', 'foreign0', 'cni-br-iface-stays-eth0-mac']) {
      expect(after).toContain(kept);
    }
    await host.perform({ verb: 'leftovers', owner: gone.owner });
    expect(await rules()).toBe(after);
  });

  test('leftovers in the legacy variant go too', async () => {
    const owner = { network: 'mynet', containerId: 'old', ifname: 'eth0' };
    const { owner: sample } = await addPod('old');
    const saved = (await host.host.shell('iptables-save -t nat'))
      .split('\n')
      .filter((line) => /-A|:CNI/.test(line));
    await host.perform({ verb: 'leftovers', owner: sample });
    await host.host.exec(['iptables-legacy-restore', '--noflush'], {
      stdin: `*nat\n${saved.join('\n')}\nCOMMIT\n`,
    });
    expect(await host.host.exec(['iptables-legacy-save', '-t', 'nat'])).toContain('id: \\"old\\"');
    await host.perform({ verb: 'leftovers', owner });
    expect(await host.host.exec(['iptables-legacy-save', '-t', 'nat'])).not.toContain('id: \\"old\\"');
  });

  test('leftovers of its nftables masquerade go by their hash', async () => {
    // As plugins 1.6 and later write it: hash of the network, hash of ifname and container, description.
    const hash = (text: string) => new Bun.CryptoHasher('sha512').update(text).digest('hex').slice(0, 16);
    const comment = (id: string) => `${hash('mynet')}-${hash(`eth0:${id}`)}, net: mynet, if: eth0, id: ${id}`;
    const rule = (address: string, id: string) =>
      `add rule inet cni_plugins_masquerade masq_checks ip saddr ${address} ip daddr != 10.1.0.0/16 masquerade comment "${comment(id)}"`;
    await host.host.exec(['nft', '-f', '-'], {
      stdin: `add table inet cni_plugins_masquerade
add chain inet cni_plugins_masquerade masq_checks
${rule('10.1.0.50', 'gone')}
${rule('10.1.0.51', 'stays')}
`,
    });
    await host.perform({
      verb: 'leftovers',
      owner: { network: 'mynet', containerId: 'gone', ifname: 'eth0' },
    });
    const left = await host.host.exec(['nft', 'list', 'table', 'inet', 'cni_plugins_masquerade']);
    expect(left).not.toContain('id: gone');
    expect(left).toContain('id: stays');
  });
});

/** The lines of a save that name our rules, in an order that does not depend on when they were added. */
const sorted = (save: string): string[] =>
  save
    .split('\n')
    .filter((line) => /^(-A|:CNI)/.test(line))
    .sort();
