import { describe, expect, test } from 'vitest';
import { leftovers, nothing } from './snapshot.ts';
import { snapshotItems } from './snapshot-items.ts';

const items = (part: string, text: string, netns = ''): string[] => snapshotItems([{ netns, part, text }]);

describe('snapshotItems', () => {
  test('a link and its addresses, without what the kernel adds by itself', () => {
    const text = JSON.stringify([
      {
        ifindex: 4,
        ifname: 'cni0',
        flags: ['BROADCAST', 'UP'],
        mtu: 1500,
        linkinfo: { info_kind: 'bridge' },
        addr_info: [
          { family: 'inet', local: '10.1.0.1', prefixlen: 16, scope: 'global' },
          { family: 'inet6', local: 'fe80::1', prefixlen: 64, scope: 'link' },
        ],
      },
    ]);
    expect(items('links', text)).toEqual([
      'link cni0 bridge mtu 1500 up',
      'addr cni0 10.1.0.1/16 scope global',
    ]);
  });

  test('what is inside a pod names the pod', () => {
    const text = JSON.stringify([{ ifname: 'lo', flags: [], mtu: 65536 }]);
    expect(items('links', text, 'a')).toEqual(['netns a', 'netns a: link lo device mtu 65536 down']);
  });

  test('routes keep what tells them apart', () => {
    const text = JSON.stringify([
      { dst: 'default', gateway: '10.1.0.1', dev: 'eth0', flags: ['onlink'] },
      { dst: 'fe80::/64', dev: 'eth0', flags: [] },
    ]);
    expect(items('routes', text)).toEqual(['route unicast default gateway 10.1.0.1 onlink dev eth0']);
  });

  test('nft rules and set elements, without handles and counters', () => {
    const nftables = [
      { metainfo: { version: '1.0.6' } },
      { table: { family: 'inet', name: 'podwire_x', handle: 1 } },
      {
        set: { family: 'inet', table: 'podwire_x', name: 'pods', handle: 2, elem: ['10.1.0.5', '10.1.0.6'] },
      },
      {
        rule: {
          family: 'inet',
          table: 'podwire_x',
          chain: 'c',
          handle: 3,
          expr: [{ counter: { packets: 7 } }],
        },
      },
    ];
    expect(items('nft', JSON.stringify({ nftables }))).toEqual([
      'nft table inet podwire_x',
      'nft set inet podwire_x pods',
      'nft element inet podwire_x pods "10.1.0.5"',
      'nft element inet podwire_x pods "10.1.0.6"',
      'nft rule inet podwire_x c {"expr":[{"counter":{}}]}',
    ]);
  });

  test('iptables rules carry their table', () => {
    const text = '# Generated\n*nat\n:CNI-abc - [0:0]\n-A POSTROUTING -j CNI-abc\nCOMMIT\n';
    expect(items('iptables-nft', text)).toEqual([
      'iptables-nft nat :CNI-abc -',
      'iptables-nft nat -A POSTROUTING -j CNI-abc',
    ]);
  });
});

describe('leftovers', () => {
  test('counts equal lines', () => {
    expect(leftovers(['rule a'], ['rule a', 'rule a'])).toEqual({ added: ['rule a'], removed: [] });
    expect(leftovers(['rule a', 'rule b'], ['rule b'])).toEqual({ added: [], removed: ['rule a'] });
  });

  test('leaves out what belongs to no pod, and only that', () => {
    const after = [
      'file /var/lib/cni/networks/net/last_reserved_ip.0 "10.1.0.2"',
      'file /var/lib/cni/networks/net/lock ""',
      'directory /var/lib/cni/networks/net',
      'nft table ip nat',
      'iptables-nft nat :POSTROUTING ACCEPT',
    ];
    expect(leftovers([], after)).toEqual(nothing);
    const lost = ['file /var/lib/cni/networks/net/10.1.0.2 "c"', 'iptables-nft nat :CNI-abc -'];
    expect(leftovers([], lost).added).toEqual(lost);
  });

  test('leaves out what the caller allows', () => {
    expect(leftovers([], ['link cni0 bridge'], [/^link cni0 /])).toEqual(nothing);
  });
});
