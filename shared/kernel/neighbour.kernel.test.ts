import { beforeEach, expect, test } from 'vitest';
import { BridgeBatch, runBridgeBatch } from './bridge-batch.ts';
import { readLink } from './link.ts';
import { readFdb, readNeighbours } from './neighbour.ts';
import type { Netns } from './netns.ts';
import { createNetns, ip, requireNamespaces } from './test-netns.ts';

const mac = '02:00:00:00:00:07';
const [NUD_STALE, NUD_NOARP, NUD_PERMANENT, NTF_SELF] = [0x04, 0x40, 0x80, 0x02];

let netns: Netns;
beforeEach(async (context) => {
  requireNamespaces(context);
  netns = await createNetns();
  ip(
    netns,
    'address add 198.51.100.1/24 dev lo',
    'address add 2001:db8::1/64 dev lo nodad',
    'link add vx4 mtu 1450 up type vxlan id 7 local 198.51.100.1 dstport 8472 nolearning',
    'link add vx6 up type vxlan id 8 local 2001:db8::1 dstport 4789 dev lo',
    'link add vxe type vxlan external dstport 4790',
  );
  return () => netns.close();
});

const indexOf = (name: string) => netns.run(() => readLink(name)?.index ?? -1);
const bridge = (...lines: string[]) => {
  const batch = new BridgeBatch();
  for (const line of lines) batch.add(...line.split(' '));
  return netns.run(() => runBridgeBatch(batch, 'preparing a test'));
};

test('VXLAN devices are told with what makes them so', () => {
  const vxlan = (name: string) => netns.run(() => readLink(name)?.vxlan);
  expect(vxlan('vx4')).toEqual({
    vni: 7,
    port: 8472,
    local: '198.51.100.1',
    learning: false,
    external: false,
  });
  expect(vxlan('vx6')).toEqual({
    ...{ vni: 8, port: 4789, local: '2001:db8::1', learning: true, external: false },
    boundTo: indexOf('lo'),
  });
  expect(vxlan('vxe')).toMatchObject({ port: 4790, external: true });
});

test('neighbours are those of the device and the family', () => {
  ip(
    netns,
    `neigh add 10.1.0.0 lladdr ${mac} dev vx4 nud permanent`,
    `neigh add fd00::1 lladdr ${mac} dev vx4 nud stale`,
    `neigh add 10.2.0.0 lladdr ${mac} dev vx6 nud permanent`,
  );
  const neighbours = (family: 4 | 6) => netns.run(() => readNeighbours(family, indexOf('vx4')));
  expect(neighbours(4)).toContainEqual({ address: '10.1.0.0', mac, state: NUD_PERMANENT, flags: 0 });
  expect(neighbours(4).map(({ address }) => address)).not.toContain('10.2.0.0');
  expect(neighbours(6)).toContainEqual({ address: 'fd00::1', mac, state: NUD_STALE, flags: 0 });
  expect(netns.run(() => readNeighbours(4, 9999))).toEqual([]);
});

test('a forwarding database has an entry for each destination', () => {
  bridge(
    `fdb add ${mac} dev vx4 dst 198.51.100.2`,
    `fdb append 00:00:00:00:00:00 dev vx4 dst 198.51.100.3 port 4789 vni 9 via lo`,
    `fdb append 00:00:00:00:00:00 dev vx4 dst 198.51.100.4`,
    `fdb add ${mac} dev vx6 dst 2001:db8::2`,
  );
  const common = { state: NUD_PERMANENT | NUD_NOARP, flags: NTF_SELF };
  const zero = '00:00:00:00:00:00';
  const entries = (name: string) =>
    netns.run(() => readFdb(indexOf(name))).sort((a, b) => ((a.dst ?? '') < (b.dst ?? '') ? -1 : 1));
  expect(entries('vx4')).toEqual([
    { ...common, mac, dst: '198.51.100.2' },
    { ...common, mac: zero, dst: '198.51.100.3', port: 4789, vni: 9, via: indexOf('lo') },
    { ...common, mac: zero, dst: '198.51.100.4' },
  ]);
  expect(entries('vx6')).toEqual([{ ...common, mac, dst: '2001:db8::2' }]);
  expect(netns.run(() => readFdb(9999))).toEqual([]);
});

test('a line of a bridge batch that fails is told', () => {
  expect(() =>
    bridge(`fdb add ${mac} dev vx4 dst 198.51.100.2`, `fdb del 02:00:00:00:00:08 dev vx4`),
  ).toThrow('preparing a test: bridge fdb del failed: No such file or directory');
});
