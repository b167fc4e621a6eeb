import { describe, expect, test } from 'vitest';
import { Fields } from '../cni/fields.ts';
import type { JsonObject } from '../cni/types.ts';
import { chainCommands, createCommand, deleteChainCommands, tableCommands } from '../filter/nft-plan.ts';
import { podAddress } from '../filter/pod-address.ts';
import { ownPortmapChains, PORTMAP_SETS, portmapPlan } from './nft.ts';
import { parsePortmapOptions } from './options.ts';

const owner = { network: 'pods', containerId: 'abc', ifname: 'eth0' };
const four = podAddress({ address: '10.1.0.2', subnet: '10.1.0.2/24' });
const six = podAddress({ address: 'fd00:1::2', subnet: 'fd00:1::/64' });

const planOf = (portMappings: JsonObject[], config: JsonObject = {}, addresses = [four, six]) =>
  portmapPlan(owner, parsePortmapOptions(new Fields(config), new Fields({ portMappings })), addresses);

const elementsOf = (...args: Parameters<typeof planOf>): string[] =>
  planOf(...args).elements.map((element) =>
    createCommand(element)
      .replace('create element inet podwire_portmap ', '')
      .replace(' comment "pods abc eth0"', ''),
  );

const web = { hostPort: 8080, containerPort: 80 };

describe('elements', () => {
  test('a port leads to the pod in each family, and past the chain that marks its neighbours', () => {
    expect(elementsOf([web])).toEqual([
      'any4 { tcp . 8080 : 10.1.0.2 . 80 }',
      'pre_any4 { tcp . 8080 : jump near-10.1.0.0/24-13 }',
      'post4 { 10.1.0.2 : jump masq-13 }',
      'any6 { tcp . 8080 : fd00:1::2 . 80 }',
      'pre_any6 { tcp . 8080 : jump near-fd00_1__/64-13 }',
      'post6 { fd00:1::2 : jump masq-13 }',
    ]);
  });

  test('a host address is part of the key', () => {
    expect(elementsOf([{ ...web, protocol: 'udp', hostIP: '192.0.2.1' }], { snat: false })).toEqual([
      'at4 { 192.0.2.1 . udp . 8080 : 10.1.0.2 . 80 }',
    ]);
  });

  test('keys and data are what the kernel has', () => {
    const [element] = planOf([{ ...web, protocol: 'sctp', hostIP: '192.0.2.1' }]).elements;
    expect([...(element?.key.bytes ?? [])]).toEqual([192, 0, 2, 1, 132, 0, 0, 0, 0x1f, 0x90, 0, 0]);
    expect([...(element?.data?.bytes ?? [])]).toEqual([10, 1, 0, 2, 0, 80, 0, 0]);
    expect(element?.exclusive).toBe(true);
  });

  test('without snat there is nothing to mark', () => {
    expect(elementsOf([web], { snat: false }, [four])).toEqual(['any4 { tcp . 8080 : 10.1.0.2 . 80 }']);
  });

  test('masqAll marks whatever comes', () => {
    const plan = planOf([web], { masqAll: true, markMasqBit: 5 }, [four]);
    expect(plan.elements.map(({ jump }) => jump)).toEqual([undefined, 'all-5', 'masq-5']);
    const rules = plan.frame[0]?.chains
      .filter(({ name }) => /^(all|masq)-/.test(name))
      .flatMap(({ rules }) => rules);
    expect(rules).toEqual(['meta mark set meta mark | 0x20', 'meta mark & 0x20 == 0x20 masquerade']);
  });

  test('without a mapping for the pod’s family there is nothing', () => {
    expect(elementsOf([{ ...web, hostIP: '::' }], {}, [four])).toEqual([]);
  });
});

test('conditions are a chain of the owner’s', () => {
  const plan = planOf([web], { conditionsV4: ['ip', 'saddr', '!=', '192.0.2.9'] });
  const [chain, ...others] = plan.chains ?? [];
  if (chain === undefined) throw new Error('no chain');
  expect(others).toEqual([]);
  expect(plan.elements.filter(({ set }) => set === 'pre_any4').map(({ jump }) => jump)).toEqual([chain.name]);
  expect(chain.rules).toEqual([
    'meta nfproto ipv4 ip saddr != 192.0.2.9 ip saddr 10.1.0.0/24 meta mark set meta mark | 0x2000',
    'meta nfproto ipv4 ip saddr != 192.0.2.9 ip saddr 127.0.0.0/8 meta mark set meta mark | 0x2000',
    'meta nfproto ipv4 ip saddr != 192.0.2.9 goto dnat4',
    'accept',
  ]);
  expect(ownPortmapChains(owner).map(({ name }) => name)).toContain(chain.name);
  expect(chainCommands(chain).slice(0, 2)).toEqual([
    `add chain inet podwire_portmap ${chain.name}`,
    `flush chain inet podwire_portmap ${chain.name}`,
  ]);
  expect(deleteChainCommands(chain)).toEqual([
    `flush chain inet podwire_portmap ${chain.name}`,
    `delete chain inet podwire_portmap ${chain.name}`,
  ]);
});

test('nothing that is shared is made for one pod: neither for its conditions nor for a subnet of its own', () => {
  const routed = podAddress({ address: '10.1.0.2', subnet: '10.1.0.2/32' });
  const alone = planOf([web], {}, [routed]);
  const conditional = planOf([web], { conditionsV4: ['ip', 'saddr', '!=', '192.0.2.9'] }, [four]);
  for (const plan of [alone, conditional]) {
    const [chain] = plan.chains ?? [];
    expect(plan.elements.find(({ set }) => set === 'pre_any4')?.jump).toBe(chain?.name);
    const names = plan.frame[0]?.chains.map(({ name }) => name) ?? [];
    expect(names.filter((name) => name.startsWith('near-'))).toEqual([]);
  }
  expect(alone.chains?.[0]?.rules).toEqual([
    'ip saddr 10.1.0.2/32 meta mark set meta mark | 0x2000',
    'ip saddr 127.0.0.0/8 meta mark set meta mark | 0x2000',
  ]);
});

test('the frame is the same whatever is mapped, but for the chains of subnets', () => {
  const chains = (...args: Parameters<typeof planOf>): string[] =>
    planOf(...args)
      .frame[0]?.chains.map(({ name }) => name)
      .filter((name) => !/^(near|all|masq)-/.test(name)) ?? [];
  expect(chains([web])).toEqual(chains([{ ...web, hostIP: '192.0.2.1' }], { snat: false }));
  const [table] = planOf([web]).frame;
  if (table === undefined) throw new Error('no table');
  const maps = tableCommands(table).filter((command) => command.startsWith('add map'));
  expect(maps).toHaveLength(PORTMAP_SETS.length);
  expect(maps[0]).toBe(
    'add map inet podwire_portmap any4 { type inet_proto . inet_service : ipv4_addr . inet_service ; }',
  );
});
