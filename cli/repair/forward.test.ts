import { describe, expect, test } from 'vitest';
import { parseLegacyTable } from './forward-legacy.ts';
import { parseNftTable } from './forward-nft.ts';
import { closedChains, type ForwardedPod, namesPod } from './forward-table.ts';

const rule = (chain: string, ...expr: object[]) => ({ rule: { chain, expr } });
const base = (policy: string) => ({ chain: { name: 'forward', hook: 'forward', policy } });
const match = (field: string, right: unknown) => ({
  match: { op: '==', left: { payload: { protocol: 'ip', field } }, right },
});
const from = (interfaces: unknown) => ({
  match: { op: '==', left: { meta: { key: 'iifname' } }, right: interfaces },
});
const accept = { accept: null };
const established = {
  match: { op: 'in', left: { ct: { key: 'state' } }, right: ['established', 'related'] },
};
const table = (...nftables: object[]) =>
  parseNftTable('inet t', JSON.parse(JSON.stringify({ nftables: [{ metainfo: {} }, ...nftables] })));

const pod: ForwardedPod = { addresses: ['10.1.0.2', 'fd00:1::2'], interfaces: ['veth0123', 'cni0'] };

describe('a chain drops what no rule accepts', () => {
  test.each([
    ['by its policy', [base('drop')], true],
    [
      'by its policy, whatever it accepts of others',
      [base('drop'), rule('forward', established, accept)],
      true,
    ],
    ['not when it accepts everything', [base('drop'), rule('forward', { counter: {} }, accept)], false],
    [
      'as firewalld does: a last rule that rejects',
      [base('accept'), rule('forward', established, accept), rule('forward', { reject: { type: 'icmpx' } })],
      true,
    ],
    [
      "by REJECT of iptables' nft variant",
      [base('accept'), rule('forward', { counter: {} }, { xt: { type: 'target', name: 'REJECT' } })],
      true,
    ],
    [
      'in a chain that it jumps to',
      [base('accept'), rule('forward', { jump: { target: 'last' } }), rule('last', { drop: null })],
      true,
    ],
    [
      'not when only some jump there',
      [base('accept'), rule('forward', established, { jump: { target: 'l' } }), rule('l', { drop: null })],
      false,
    ],
    ['not in circles', [base('accept'), rule('forward', { jump: { target: 'forward' } })], false],
    [
      'not by a rule with a condition',
      [base('accept'), rule('forward', from('eth0'), { drop: null })],
      false,
    ],
    [
      'not in a chain of another hook',
      [{ chain: { name: 'forward', hook: 'input', policy: 'drop' } }],
      false,
    ],
  ])('%s', (_, items, closed) => {
    expect(closedChains(table(...items))).toEqual(closed ? ['forward'] : []);
  });
});

describe('a table names a pod', () => {
  test.each<[string, object, boolean]>([
    ['its address', match('saddr', '10.1.0.2'), true],
    ['its IPv6 address, written otherwise', match('saddr', 'fd00:1:0::2'), true],
    ['its subnet', match('daddr', { prefix: { addr: '10.1.0.0', len: 16 } }), true],
    ['a range', match('saddr', { set: [{ range: ['10.1.0.1', '10.1.0.9'] }] }), true],
    ['a verdict map', { vmap: { key: {}, data: { set: [['10.1.0.2', accept]] } } }, true],
    ['its bridge', from('cni0'), true],
    ['its interface among others', from({ set: ['eth0', 'veth*'] }), true],
    ['another address', match('saddr', '10.1.0.3'), false],
    ['another subnet', match('saddr', { prefix: { addr: '10.2.0.0', len: 16 } }), false],
    ['everything', match('saddr', { prefix: { addr: '0.0.0.0', len: 0 } }), false],
    ['another interface', from('docker0'), false],
  ])('%s', (_, condition, named) => {
    expect(namesPod(table(base('drop'), rule('forward', condition, accept)), pod)).toBe(named);
    // What drops the pod's traffic lets nothing pass.
    expect(namesPod(table(base('drop'), rule('forward', condition, { drop: null })), pod)).toBe(false);
  });

  test('in a set', () => {
    const set = (...elem: unknown[]) => ({ set: { name: 's', elem } });
    expect(namesPod(table(base('drop'), set('10.1.0.2')), pod)).toBe(true);
    expect(namesPod(table(base('drop'), set({ elem: { val: '10.1.0.2', comment: 'c' } })), pod)).toBe(true);
    expect(namesPod(table(base('drop'), set('10.1.0.3')), pod)).toBe(false);
  });
});

describe("iptables' legacy variant", () => {
  const save = (...lines: string[]) =>
    parseLegacyTable('ip filter', ['*filter', ':INPUT DROP [0:0]', ...lines, 'COMMIT'].join('\n'));

  test.each([
    [[':FORWARD DROP [0:0]'], true],
    [[':FORWARD ACCEPT [0:0]'], false],
    [[':FORWARD DROP [0:0]', '-A FORWARD -j ACCEPT'], false],
    [[':FORWARD DROP [0:0]', '-A FORWARD -m comment --comment "to \\"all\\"" -j ACCEPT'], false],
    [[':FORWARD DROP [0:0]', '-A FORWARD -i eth0 -j ACCEPT'], true],
    [
      [
        ':FORWARD ACCEPT [0:0]',
        '-A FORWARD -j LAST',
        '-A LAST -j REJECT --reject-with icmp-port-unreachable',
      ],
      true,
    ],
  ])('%j', (lines, closed) => {
    expect(closedChains(save(...lines))).toEqual(closed ? ['FORWARD'] : []);
  });

  test.each([
    ['-A FORWARD -s 10.1.0.2/32 -j ACCEPT', true],
    ['-A CNI-FORWARD -d 10.1.0.0/16 -m conntrack --ctstate RELATED -j ACCEPT', true],
    ['-A FORWARD -o veth+ -j ACCEPT', true],
    ['-A FORWARD -o + -j ACCEPT', false],
    ['-A FORWARD -s 10.1.0.2/32 -j DROP', false],
    ['-A FORWARD -i docker0 -j ACCEPT', false],
  ])('%s', (line, named) => {
    expect(namesPod(save(':FORWARD DROP [0:0]', line), pod)).toBe(named);
  });
});
