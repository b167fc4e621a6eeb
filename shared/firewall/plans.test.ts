import { describe, expect, test } from 'vitest';
import { CniError } from '../cni/errors.ts';
import { Fields } from '../cni/fields.ts';
import { createCommand, tableCommands } from '../filter/nft-plan.ts';
import { firewallNftPlan } from './nft.ts';
import { parseFirewallOptions, parseFirewallRemoval } from './options.ts';
import { firewallRecord, recordedFirewall } from './record.ts';

const pod = {
  owner: { network: 'net', containerId: 'one', ifname: 'eth0' },
  addresses: ['10.1.0.2', 'fd00::2'],
  device: 'cni0',
};

describe('the plan for nftables', () => {
  const commands = (parts: Parameters<typeof firewallNftPlan>[1]): string[] =>
    firewallNftPlan(pod, parts).elements.map(createCommand);

  test('one element for each address, two for a bridge with a policy, which is shared', () => {
    expect(commands({ addresses: true, policy: 'isolated', deviceIsShared: true })).toEqual([
      'create element inet podwire_firewall pods4 { 10.1.0.2 comment "net one eth0" }',
      'create element inet podwire_firewall pods6 { fd00::2 comment "net one eth0" }',
      'add element inet podwire_firewall guarded { "cni0" comment "shared" }',
      'add element inet podwire_firewall within { "cni0" . "cni0" comment "shared" : jump isolated }',
    ]);
  });

  test("a pod's own device is the pod's, and firewalld has the addresses", () => {
    expect(commands({ addresses: false, policy: 'same-bridge', deviceIsShared: false })).toEqual([
      'create element inet podwire_firewall guarded { "cni0" comment "net one eth0" }',
      'create element inet podwire_firewall within { "cni0" . "cni0" comment "net one eth0" : jump same-bridge }',
    ]);
    expect(commands({ addresses: true, policy: 'open', deviceIsShared: false })).toHaveLength(2);
  });

  test('the frame has a chain for the administrator, and gives it no rules', () => {
    const [table] = firewallNftPlan(pod, { addresses: true, policy: 'open', deviceIsShared: true }).frame;
    if (table === undefined) throw new Error('no table');
    expect(tableCommands(table)).toContain('add chain inet podwire_firewall admin');
    expect(table.chains.find(({ name }) => name === 'admin')).toMatchObject({
      rules: [],
      administered: true,
    });
    expect(table.chains.find(({ hook }) => hook !== undefined)?.rules[0]).toBe('jump admin');
  });
});

describe('options', () => {
  const parse = (json: ConstructorParameters<typeof Fields>[0]) => parseFirewallOptions(new Fields(json));

  test('defaults, and empty texts as defaults', () => {
    const defaults = { backend: undefined, adminChain: undefined, zone: 'trusted', ingressPolicy: 'open' };
    expect(parse({})).toEqual(defaults);
    expect(parse({ backend: '', iptablesAdminChainName: '', firewalldZone: '', ingressPolicy: '' })).toEqual(
      defaults,
    );
  });

  test.each(['FORWARD', 'CNI-FORWARD', 'CNI-ISOLATION-STAGE-1', '-x', '!x', 'a b', 'x'.repeat(29), 'ACCEPT'])(
    'no admin chain can be called %s',
    (iptablesAdminChainName) => {
      expect(() => parse({ iptablesAdminChainName })).toThrow(CniError);
    },
  );

  test('a removal takes what it understands', () => {
    expect(parseFirewallRemoval({ backend: 'ufw', firewalldZone: 5 })).toEqual({
      backend: undefined,
      zone: 'trusted',
    });
    expect(parseFirewallRemoval({ backend: 'firewalld', firewalldZone: 'work' })).toEqual({
      backend: 'firewalld',
      zone: 'work',
    });
  });

  test('a record says what was planned', () => {
    const options = {
      ...parse({ ingressPolicy: 'isolated', iptablesAdminChainName: 'X' }),
      backend: 'iptables' as const,
    };
    const record = {
      version: 1 as const,
      plugin: 'firewall',
      ...pod.owner,
      netns: '/n',
      addresses: pod.addresses.map((address) => ({ address, subnet: `${address}/32` })),
      firewall: firewallRecord(pod, options, { backend: 'iptables' }),
    };
    expect(recordedFirewall(JSON.parse(JSON.stringify(record)))).toEqual({ pod, options });
    expect(recordedFirewall({ ...record, firewall: undefined })).toBeUndefined();
    expect(recordedFirewall(undefined)).toBeUndefined();
  });
});
