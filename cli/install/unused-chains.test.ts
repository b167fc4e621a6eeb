import { describe, expect, test } from 'vitest';
import { parseSave } from '../../shared/kernel/iptables.ts';
import { unusedChains } from './unused-chains.ts';

const nat = `*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:CNI-HOSTPORT-MASQ - [0:0]
:CNI-HOSTPORT-SETMARK - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ
-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE
-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000
COMMIT
`;
const filter = `*filter
:FORWARD ACCEPT [0:0]
:CNI-ADMIN - [0:0]
:CNI-FORWARD - [0:0]
:CNI-ISOLATION-STAGE-1 - [0:0]
:CNI-ISOLATION-STAGE-2 - [0:0]
-A FORWARD -m comment --comment "CNI firewall plugin rules (ingressPolicy: same-bridge|isolated)" -j CNI-ISOLATION-STAGE-1
-A FORWARD -m comment --comment "CNI firewall plugin rules" -j CNI-FORWARD
-A CNI-FORWARD -m comment --comment "CNI firewall plugin admin overrides" -j CNI-ADMIN
-A CNI-ISOLATION-STAGE-1 -i cni0 ! -o cni0 -m comment --comment "x" -j CNI-ISOLATION-STAGE-2
-A CNI-ISOLATION-STAGE-2 -o cni0 -j DROP
COMMIT
`;
const chainsOf = (text: string): string[] => unusedChains(parseSave(text))?.chains ?? [];
const withLines = (text: string, ...lines: string[]): string =>
  text.replace('COMMIT', `${lines.join('\n')}\nCOMMIT`);

describe('host ports', () => {
  test('without pods: the jumps go, then the chains', () => {
    expect(unusedChains(parseSave(nat))?.commands).toEqual([
      '-D PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
      '-D OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
      '-D POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ',
      ...['-F', '-X'].flatMap((flag) =>
        ['DNAT', 'MASQ', 'SETMARK'].map((chain) => `${flag} CNI-HOSTPORT-${chain}`),
      ),
    ]);
  });
  test.each([
    ['a pod of anybody', ':CNI-DN-0123456789abcdef01234 - [0:0]'],
    ['a rule for a pod', '-A CNI-HOSTPORT-DNAT -p tcp -j CNI-DN-0123456789abcdef01234'],
    ['a rule of others that leads there', '-A MINE -j CNI-HOSTPORT-MASQ'],
  ])('with %s they stay', (_what, line) => {
    expect(chainsOf(withLines(nat, line))).toEqual([]);
  });
});

describe('firewall', () => {
  test('without pods', () => {
    expect(chainsOf(filter)).toEqual([
      'CNI-FORWARD',
      'CNI-ISOLATION-STAGE-1',
      'CNI-ISOLATION-STAGE-2',
      'CNI-ADMIN',
    ]);
  });
  test('with a pod of anybody', () => {
    expect(chainsOf(withLines(filter, '-A CNI-FORWARD -s 10.1.0.2/32 -j ACCEPT'))).toEqual([]);
  });
  test("with an administrator's rules", () => {
    const kept = chainsOf(withLines(filter, '-A CNI-ADMIN -s 10.9.0.0/16 -j DROP'));
    expect(kept).toEqual(['CNI-FORWARD', 'CNI-ISOLATION-STAGE-1', 'CNI-ISOLATION-STAGE-2']);
  });
  test("with an administrator's chain of another name", () => {
    expect(chainsOf(filter.replaceAll('CNI-ADMIN', 'MY-ADMIN'))).toContain('MY-ADMIN');
  });
});

test('a table without any', () => {
  expect(
    unusedChains(parseSave('*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j DOCKER\nCOMMIT\n')),
  ).toBeUndefined();
});
