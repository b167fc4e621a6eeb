import { describe, expect, test } from 'vitest';
import { parseSave } from '../kernel/iptables.ts';
import {
  chainName,
  collectCommands,
  createCommands,
  iptablesMasquerade,
  missingCommands,
  removeCommands,
  removePresentCommands,
} from './masquerade-iptables.ts';
import { podAddress } from './pod-address.ts';

const CHAIN = 'CNI-7166596e80d917931ad582d5';
const COMMENT = '-m comment --comment "name: \\"mynet\\" id: \\"0123456789abcdef\\""';
const four = podAddress({ address: '10.1.0.2', subnet: '10.1.0.2/16' });
const six = podAddress({ address: 'fd00:1::2', subnet: 'fd00:1::/64' });

// What Debian's reference bridge 1.1.1 with ipMasq left for `iptables-save -t nat`.
const referenceSave = `*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:${CHAIN} - [0:0]
-A POSTROUTING -s 10.1.0.2/32 ${COMMENT} -j ${CHAIN}
-A ${CHAIN} -d 10.1.0.0/16 ${COMMENT} -j ACCEPT
-A ${CHAIN} ! -d 224.0.0.0/4 ${COMMENT} -j MASQUERADE
COMMIT
`;
const reference = parseSave(referenceSave);
const empty = parseSave('*nat\n:POSTROUTING ACCEPT [0:0]\nCOMMIT\n');

describe('iptablesMasquerade', () => {
  const wanted = iptablesMasquerade('mynet', '0123456789abcdef', [four]);

  test('is what the reference makes, byte for byte', () => {
    expect([...wanted.jumps, ...wanted.inChain]).toEqual(reference.rules);
    expect(missingCommands(wanted, reference)).toBeUndefined();
  });

  test('IPv6 has its own multicast prefix and full-length host prefix', () => {
    expect(createCommands(iptablesMasquerade('mynet', '0123456789abcdef', [six]))).toEqual([
      `-N ${CHAIN}`,
      `-A ${CHAIN} -d fd00:1::/64 ${COMMENT} -j ACCEPT`,
      `-A ${CHAIN} ! -d ff00::/8 ${COMMENT} -j MASQUERADE`,
      `-A POSTROUTING -s fd00:1::2/128 ${COMMENT} -j ${CHAIN}`,
    ]);
  });

  test('with two subnets both exemptions come before the masquerade', () => {
    const second = podAddress({ address: '10.2.0.2', subnet: '10.2.0.0/16' });
    const { inChain } = iptablesMasquerade('mynet', '0123456789abcdef', [four, second, four]);
    expect(inChain.map((rule) => rule.split(' ').at(-1))).toEqual(['ACCEPT', 'ACCEPT', 'MASQUERADE']);
  });

  test('only what is missing is added', () => {
    const partial = parseSave(referenceSave.replace(/^-A POSTROUTING.*\n/m, ''));
    expect(missingCommands(wanted, partial)).toEqual(wanted.jumps);
    expect(missingCommands(wanted, empty)).toEqual(createCommands(wanted));
  });

  test('an exemption that is missing comes in front of the rule that masquerades', () => {
    const partial = parseSave(referenceSave.replace(/^-A CNI.* -j ACCEPT\n/m, ''));
    expect(missingCommands(wanted, partial)).toEqual([`-I ${CHAIN} -d 10.1.0.0/16 ${COMMENT} -j ACCEPT`]);
  });

  test('what others put into the chain goes, but not what another interface of the container needs', () => {
    const ours = `-A ${CHAIN} -d 10.9.0.0/16 ${COMMENT} -j ACCEPT`;
    const strange = [`-A ${CHAIN} -j RETURN`, `-A ${CHAIN} -d 10.1.0.0/16 ${COMMENT} -j DROP`];
    const disturbed = { ...reference, rules: [...reference.rules, ours, ...strange] };
    expect(missingCommands(wanted, disturbed)).toEqual(strange.map((rule) => rule.replace('-A', '-D')));
  });

  test('a comment that xt_comment cannot hold is hashed', () => {
    const { jumps } = iptablesMasquerade('n'.repeat(200), 'c'.repeat(64), [four]);
    expect(jumps[0]).toMatch(/"name: \\"#[0-9a-f]{32}\\" id: \\"#[0-9a-f]{32}\\""/);
  });
});

describe('removal', () => {
  const wanted = iptablesMasquerade('mynet', '0123456789abcdef', [four]);
  const isWanteds = (jump: string): boolean => wanted.jumps.includes(jump);

  test('deletes jumps, then the chain', () => {
    const commands = [`-D POSTROUTING -s 10.1.0.2/32 ${COMMENT} -j ${CHAIN}`, `-F ${CHAIN}`, `-X ${CHAIN}`];
    expect(removeCommands(wanted)).toEqual(commands);
    expect(removePresentCommands(CHAIN, reference)).toEqual(commands);
    expect(removePresentCommands(CHAIN, reference, isWanteds)).toEqual(commands);
    expect(removePresentCommands(CHAIN, empty)).toBeUndefined();
  });

  test('every copy of a doubled jump goes', () => {
    const doubled = { ...reference, rules: [...reference.rules, ...wanted.jumps] };
    expect(removePresentCommands(CHAIN, doubled, isWanteds)).toHaveLength(4);
  });

  test('the chain stays while another interface of the container uses it', () => {
    const other = `-A POSTROUTING -s 10.1.0.9/32 ${COMMENT} -j ${CHAIN}`;
    const shared = { ...reference, rules: [...reference.rules, other] };
    expect(removePresentCommands(CHAIN, shared, isWanteds)).toEqual([removeCommands(wanted)[0]]);
  });
});

describe('collectCommands', () => {
  test('removes what is not kept, of this network only', () => {
    expect(collectCommands('mynet', [], reference)).toEqual(removePresentCommands(CHAIN, reference));
    expect(collectCommands('mynet', ['0123456789abcdef'], reference)).toBeUndefined();
    expect(collectCommands('my', [], reference)).toBeUndefined();
    expect(collectCommands('mynet', [], empty)).toBeUndefined();
  });

  test('of a container that is kept, the jumps of interfaces that are gone', () => {
    const nine = podAddress({ address: '10.1.0.9', subnet: '10.1.0.0/16' });
    const { jumps } = iptablesMasquerade('mynet', '0123456789abcdef', [nine]);
    const table = { ...reference, rules: [...reference.rules, ...jumps] };
    const gone = [{ containerId: '0123456789abcdef', addresses: [nine] }];
    expect(collectCommands('mynet', ['0123456789abcdef'], table, gone)).toEqual([
      `-D POSTROUTING -s 10.1.0.9/32 ${COMMENT} -j ${CHAIN}`,
    ]);
    expect(collectCommands('mynet', ['0123456789abcdef'], reference, gone)).toBeUndefined();
    expect(collectCommands('mynet', [], table, gone)).toEqual(removePresentCommands(CHAIN, table));
  });

  test('chains of other names are left alone, whatever their comments', () => {
    const foreign = parseSave(referenceSave.replaceAll(CHAIN, 'CNI-FORWARD'));
    expect(collectCommands('mynet', [], foreign)).toBeUndefined();
  });
});

test('chainName is the reference plugins’', () => {
  expect(chainName('mynet', '0123456789abcdef')).toBe(CHAIN);
  expect(chainName('mynet', 'two')).toBe('CNI-c7042912b780362c0ef8ff87');
});
