import { describe, expect, test } from 'vitest';
import { masqueradePlan } from './masquerade-nft.ts';
import {
  createCommand,
  deleteCommand,
  mergeFrames,
  ruleCommands,
  ruleComment,
  tableCommands,
} from './nft-plan.ts';
import { podAddress } from './pod-address.ts';
import { spoofCheckPlan } from './spoof-check.ts';

const owner = { network: 'pods', containerId: 'abc', ifname: 'eth0' };
const four = podAddress({ address: '10.1.0.2', subnet: '10.1.0.2/16' });
const six = podAddress({ address: 'fd00:1::2', subnet: 'fd00:1::/64' });

describe('masqueradePlan', () => {
  const plan = masqueradePlan(owner, [four, six]);

  test('a pod is one element for each address', () => {
    expect(plan.elements.map(createCommand)).toEqual([
      'create element inet podwire_masquerade pods4 { 10.1.0.2 comment "pods abc eth0" : jump from-10.1.0.0/16 }',
      'create element inet podwire_masquerade pods6 { fd00:1::2 comment "pods abc eth0" : jump from-fd00_1__/64 }',
    ]);
    expect(plan.elements.map(deleteCommand)).toEqual([
      'delete element inet podwire_masquerade pods4 { 10.1.0.2 }',
      'delete element inet podwire_masquerade pods6 { fd00:1::2 }',
    ]);
  });

  test('the frame has the maps, the hook and a chain for each subnet', () => {
    const [table] = plan.frame;
    if (table === undefined) throw new Error('no table');
    expect(tableCommands(table)).toEqual([
      'add table inet podwire_masquerade',
      'add map inet podwire_masquerade pods4 { type ipv4_addr : verdict ; }',
      'add map inet podwire_masquerade pods6 { type ipv6_addr : verdict ; }',
      'add chain inet podwire_masquerade postrouting { type nat hook postrouting priority 100 ; policy accept ; }',
      'add chain inet podwire_masquerade from-10.1.0.0/16',
      'add chain inet podwire_masquerade from-fd00_1__/64',
    ]);
    const rules = table.chains.flatMap((chain) => ruleCommands(table, chain)).map(withoutComment);
    expect(rules).toEqual([
      'flush chain inet podwire_masquerade postrouting',
      'add rule inet podwire_masquerade postrouting ip saddr vmap @pods4',
      'add rule inet podwire_masquerade postrouting ip6 saddr vmap @pods6',
      'flush chain inet podwire_masquerade from-10.1.0.0/16',
      'add rule inet podwire_masquerade from-10.1.0.0/16 ip daddr 10.1.0.0/16 return',
      'add rule inet podwire_masquerade from-10.1.0.0/16 ip daddr 224.0.0.0/4 return',
      'add rule inet podwire_masquerade from-10.1.0.0/16 masquerade',
      'flush chain inet podwire_masquerade from-fd00_1__/64',
      'add rule inet podwire_masquerade from-fd00_1__/64 ip6 daddr fd00:1::/64 return',
      'add rule inet podwire_masquerade from-fd00_1__/64 ip6 daddr ff00::/8 return',
      'add rule inet podwire_masquerade from-fd00_1__/64 masquerade',
    ]);
  });
});

describe('spoofCheckPlan', () => {
  test('a pod is a port and a MAC on it', () => {
    const plan = spoofCheckPlan(owner, 'veth12345678', '02:00:00:00:00:01');
    expect(plan.elements.map(createCommand)).toEqual([
      'create element bridge podwire_spoof ports { "veth12345678" comment "pods abc eth0" }',
      'create element bridge podwire_spoof macs { "veth12345678" . 02:00:00:00:00:01 comment "pods abc eth0" }',
    ]);
  });

  test('hostile names cannot get into the text', () => {
    const hostile = { ...owner, ifname: '"};flush' };
    const [element] = spoofCheckPlan(hostile, 'veth1', '02:00:00:00:00:01').elements;
    expect(element && createCommand(element)).toBe(
      'create element bridge podwire_spoof ports { "veth1" comment "pods abc %22%7d%3bflush" }',
    );
    expect(() => spoofCheckPlan(owner, 'veth1" }', '02:00:00:00:00:01')).toThrow(TypeError);
    expect(() => spoofCheckPlan(owner, 'veth1', '02:00:00:00:00:01 }')).toThrow(TypeError);
  });
});

test('frames of several plans are merged by table, each chain once', () => {
  const plans = [
    masqueradePlan(owner, [four]),
    masqueradePlan(owner, [six]),
    spoofCheckPlan(owner, 'v', '02:00:00:00:00:01'),
  ];
  expect(mergeFrames(plans).map(({ name, chains }) => [name, ...chains.map((chain) => chain.name)])).toEqual([
    ['podwire_masquerade', 'postrouting', 'from-10.1.0.0/16', 'from-fd00_1__/64'],
    ['podwire_spoof', 'prerouting'],
  ]);
});

test('the comment of a rule changes with its text, and is the same in every build', () => {
  expect(ruleComment('masquerade')).toBe('podwire 5a1ca986');
  expect(ruleComment('masquerade random')).not.toBe(ruleComment('masquerade'));
});

const withoutComment = (command: string): string => command.replace(/ comment "podwire [0-9a-f]{8}"$/, '');
