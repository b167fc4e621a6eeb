import { describe, expect, test } from 'vitest';
import { parseSave } from '../kernel/iptables.ts';
import {
  type FirewallRequest,
  firewallLacks,
  firewallRules,
  forwardDrops,
  forwardIsUsed,
  missingFirewall,
  podRules,
  removedFirewall,
} from './iptables-rules.ts';

const wanted = (request: Partial<FirewallRequest> = {}) =>
  firewallRules({
    addresses: ['10.1.0.2'],
    adminChain: 'CNI-ADMIN',
    policy: 'open',
    device: 'cni0',
    ...request,
  });

const own = '-m comment --comment "CNI firewall plugin rules (ingressPolicy: isolated)"';
const ofAll = '-m comment --comment "CNI firewall plugin rules (ingressPolicy: same-bridge|isolated)"';

// What `iptables-save -t filter` prints after the reference plugin (1.9) has added a pod with the policy isolated.
const referenceSave = `*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:CNI-ADMIN - [0:0]
:CNI-FORWARD - [0:0]
:CNI-ISOLATION-STAGE-1 - [0:0]
:CNI-ISOLATION-STAGE-2 - [0:0]
-A FORWARD ${ofAll} -j CNI-ISOLATION-STAGE-1
-A FORWARD -m comment --comment "CNI firewall plugin rules" -j CNI-FORWARD
-A CNI-FORWARD -m comment --comment "CNI firewall plugin admin overrides" -j CNI-ADMIN
-A CNI-FORWARD -d 10.1.0.2/32 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A CNI-FORWARD -s 10.1.0.2/32 -j ACCEPT
-A CNI-ISOLATION-STAGE-1 -i cni0 -o cni0 ${own} -j DROP
-A CNI-ISOLATION-STAGE-1 -i cni0 ! -o cni0 ${own} -j CNI-ISOLATION-STAGE-2
-A CNI-ISOLATION-STAGE-1 ${ofAll} -j RETURN
-A CNI-ISOLATION-STAGE-2 -o cni0 ${ofAll} -j DROP
-A CNI-ISOLATION-STAGE-2 ${ofAll} -j RETURN
COMMIT
`;
const reference = parseSave(referenceSave);
const empty = parseSave('*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n');

describe('the rules of a pod', () => {
  test('are complete where the reference made them', () => {
    expect(missingFirewall(wanted({ policy: 'isolated' }), reference)).toBeUndefined();
    expect(firewallLacks(wanted({ policy: 'isolated' }), reference)).toEqual([]);
  });

  test('are made from nothing in the order of the reference', () => {
    expect(missingFirewall(wanted(), empty)).toEqual([
      '-N CNI-FORWARD',
      '-N CNI-ADMIN',
      '-I FORWARD 1 -m comment --comment "CNI firewall plugin rules" -j CNI-FORWARD',
      '-I CNI-FORWARD 1 -m comment --comment "CNI firewall plugin admin overrides" -j CNI-ADMIN',
      '-A CNI-FORWARD -d 10.1.0.2/32 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      '-A CNI-FORWARD -s 10.1.0.2/32 -j ACCEPT',
    ]);
  });

  test('another pod adds its own, and another bridge its policy', () => {
    expect(missingFirewall(wanted({ addresses: ['10.1.0.3'] }), reference)).toEqual(podRules(['10.1.0.3']));
    expect(missingFirewall(wanted({ policy: 'same-bridge', device: 'cni1' }), reference)).toEqual([
      `-I CNI-ISOLATION-STAGE-1 1 -i cni1 ! -o cni1 ${own.replace('isolated', 'same-bridge')} -j CNI-ISOLATION-STAGE-2`,
      `-I CNI-ISOLATION-STAGE-2 1 -o cni1 ${ofAll} -j DROP`,
    ]);
  });

  test('a policy alone brings no accepts', () => {
    const { chains, pods, frame } = wanted({ addresses: [], policy: 'same-bridge' });
    expect(chains).toEqual(['CNI-ISOLATION-STAGE-1', 'CNI-ISOLATION-STAGE-2']);
    expect(pods).toEqual([]);
    expect(frame.every(({ rule }) => !rule.includes('CNI-FORWARD'))).toBe(true);
  });

  test('the accepts never come before the isolation', () => {
    const lost = parseSave(referenceSave.replace(/^-A FORWARD .*CNI-FORWARD\n/m, ''));
    expect(missingFirewall(wanted(), lost)).toEqual([
      '-I FORWARD 2 -m comment --comment "CNI firewall plugin rules" -j CNI-FORWARD',
    ]);
    const swapped = parseSave(referenceSave.replace(/^(-A FORWARD .*\n)(-A FORWARD .*\n)/m, '$2$1'));
    expect(firewallLacks(wanted({ policy: 'isolated' }), swapped)).toEqual([
      'CNI-ISOLATION-STAGE-1 comes after CNI-FORWARD',
    ]);
    expect(missingFirewall(wanted({ policy: 'isolated' }), swapped)).toEqual([
      `-D FORWARD ${ofAll} -j CNI-ISOLATION-STAGE-1`,
      `-I FORWARD 1 ${ofAll} -j CNI-ISOLATION-STAGE-1`,
    ]);
  });

  test("go as often as they are there, and nobody else's", () => {
    const twice = parseSave(referenceSave.replace(/^(-A CNI-FORWARD -s .*\n)/m, '$1$1'));
    expect(removedFirewall(podRules(['10.1.0.2']), twice)).toEqual([
      '-D CNI-FORWARD -d 10.1.0.2/32 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      '-D CNI-FORWARD -s 10.1.0.2/32 -j ACCEPT',
      '-D CNI-FORWARD -s 10.1.0.2/32 -j ACCEPT',
    ]);
    expect(removedFirewall(podRules(['10.1.0.22', 'fd00::2']), twice)).toBeUndefined();
  });
});

describe('FORWARD', () => {
  const table = (...lines: string[]) => parseSave(['*filter', ...lines, 'COMMIT', ''].join('\n'));
  test.each([
    [table(':FORWARD ACCEPT [0:0]'), false, false],
    [table(':FORWARD DROP [0:0]'), true, true],
    [table(':FORWARD ACCEPT [0:0]', '-A FORWARD -j KUBE-FORWARD'), true, false],
    [table(':FORWARD ACCEPT [0:0]', '-A FORWARD -j REJECT --reject-with icmp-host-prohibited'), true, true],
    [table(':FORWARD ACCEPT [0:0]', ':X - [0:0]', '-A X -j DROP'), false, false],
    [table(':INPUT DROP [0:0]', ':FORWARD ACCEPT [0:0]'), false, false],
  ])('%j: used %s, drops %s', (rules, isUsed, drops) => {
    expect(forwardIsUsed(rules)).toBe(isUsed);
    expect(forwardDrops(rules)).toBe(drops);
  });
});
