import { describe, expect, test } from 'vitest';
import { parseSave } from '../kernel/iptables.ts';
import type { NftElementState } from '../kernel/nft-message.ts';
import { formatRange } from './address-ranges.ts';
import { iptablesNat } from './nat-iptables.ts';
import { rangesOfElements } from './nat-nft.ts';
import { aggregatePrefixes, natFamilies, parsePrefix, planNat } from './nat-plan.ts';
import { chainCommands, chainRemoval } from './owned-chain.ts';

const plan = planNat({
  vni: 1,
  sources: ['10.244.1.0/24', 'fd00:244:1::/64'],
  excluded: ['10.244.0.0/24', '10.244.1.0/24', '198.51.100.7'],
});

describe('the plan', () => {
  test('multicast, limited broadcast and IPv6 link-local are always excluded, a metadata service is not', () => {
    expect(plan.excluded.map(formatRange)).toEqual([
      '10.244.0.0-10.244.1.255',
      '198.51.100.7',
      '224.0.0.0-239.255.255.255',
      '255.255.255.255',
      'fe80::-febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
      'ff00::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    ]);
  });

  test('only the families of the sources need rules', () => {
    expect(natFamilies(plan)).toEqual([4, 6]);
    expect(natFamilies(planNat({ vni: 1, sources: ['fd00::/64'], excluded: ['10.0.0.0/8'] }))).toEqual([6]);
  });

  test.for(['10.0.0.0', '10.0.0.0/33', 'fd00::/129', 'all', ''])('prefix %j', (text) => {
    expect(parsePrefix(text)?.prefixLength).toBe(text === '10.0.0.0' ? 32 : undefined);
  });

  test('aggregated prefixes are the same addresses', () => {
    const prefixes = ['10.244.0.0/24', 'fd00::/64', '10.244.1.0/24', '10.244.2.0/24'];
    expect(aggregatePrefixes(prefixes)).toEqual(['10.244.0.0/23', '10.244.2.0/24', 'fd00::/64']);
  });

  test('a text that is no prefix is refused', () => {
    expect(() => planNat({ vni: 1, sources: ['pods'], excluded: [] })).toThrow('not a prefix: pods');
  });
});

describe('elements of an interval set', () => {
  const element = (address: string, intervalEnd?: true): NftElementState => ({
    key: Uint8Array.from(address.split('.').map(Number)),
    comment: '',
    ...(intervalEnd && { intervalEnd }),
  });

  test.for<[string, NftElementState[], string[]]>([
    ['none', [], []],
    ['in no order', [element('10.0.2.0', true), element('10.0.1.0')], ['10.0.1.0-10.0.1.255']],
    ['up to the last address', [element('224.0.0.0')], ['224.0.0.0-255.255.255.255']],
    [
      'one that ends where the next begins',
      [element('10.0.1.0'), element('10.0.2.0'), element('10.0.2.0', true), element('10.0.3.0', true)],
      ['10.0.1.0-10.0.2.255'],
    ],
    [
      'the same without the end between',
      [element('10.0.1.0'), element('10.0.2.0'), element('10.0.3.0', true)],
      ['10.0.1.0-10.0.2.255'],
    ],
    [
      "with the kernel's mark that nothing begins at 0",
      [element('0.0.0.0', true), element('10.0.1.0'), element('10.0.1.1', true)],
      ['10.0.1.0'],
    ],
  ])('%s', ([, elements, ranges]) => {
    expect(rangesOfElements(4, elements).map(formatRange)).toEqual(ranges);
  });
});

describe('iptables', () => {
  const wanted = iptablesNat(plan, 4, true);
  const comment = '-m comment --comment "podwire overlay 1"';
  const saved = (rules: string[], chains = ['PREROUTING', 'POSTROUTING', wanted.chain]) =>
    parseSave([...chains.map((chain) => `:${chain} - [0:0]`), ...rules].join('\n'));
  const foreign = ['-A POSTROUTING -s 10.0.0.0/8 -j MASQUERADE', '-A OTHER -j PODWIRE-OVERLAY-11'];

  test('the rules', () => {
    expect(wanted).toEqual({
      chain: 'PODWIRE-OVERLAY-1',
      jumps: [`-A POSTROUTING -s 10.244.1.0/24 ${comment} -j PODWIRE-OVERLAY-1`],
      inChain: [
        `-A PODWIRE-OVERLAY-1 -d 10.244.0.0/23 ${comment} -j RETURN`,
        `-A PODWIRE-OVERLAY-1 -d 198.51.100.7/32 ${comment} -j RETURN`,
        `-A PODWIRE-OVERLAY-1 -d 224.0.0.0/4 ${comment} -j RETURN`,
        `-A PODWIRE-OVERLAY-1 -d 255.255.255.255/32 ${comment} -j RETURN`,
        `-A PODWIRE-OVERLAY-1 ${comment} -j MASQUERADE --random-fully`,
      ],
    });
    expect(iptablesNat(plan, 6, false).inChain.at(-1)).toBe(`-A PODWIRE-OVERLAY-1 ${comment} -j MASQUERADE`);
  });

  test('what is there is not written again', () => {
    expect(chainCommands(wanted, saved([...foreign, ...wanted.jumps, ...wanted.inChain]))).toBeUndefined();
  });

  test('into an empty table', () => {
    const empty = saved(foreign, ['POSTROUTING']);
    expect(chainCommands(wanted, empty)).toEqual([
      ':PODWIRE-OVERLAY-1 - [0:0]',
      ...wanted.inChain,
      ...wanted.jumps,
    ]);
  });

  test.for<[string, string[], string[]]>([
    [
      'a jump of a former prefix goes',
      [`-A POSTROUTING -s 10.9.0.0/24 ${comment} -j PODWIRE-OVERLAY-1`, ...wanted.jumps, ...wanted.inChain],
      [`-D POSTROUTING -s 10.9.0.0/24 ${comment} -j PODWIRE-OVERLAY-1`],
    ],
    [
      'a jump that is there twice goes once',
      [...wanted.jumps, ...wanted.jumps, ...wanted.inChain],
      wanted.jumps.map((rule) => rule.replace('-A', '-D')),
    ],
    ['a missing jump comes back', wanted.inChain, wanted.jumps],
    [
      'a chain in another order is written anew',
      [...wanted.jumps, ...wanted.inChain.toReversed()],
      [':PODWIRE-OVERLAY-1 - [0:0]', ...wanted.inChain],
    ],
  ])('%s', ([, rules, commands]) => {
    expect(chainCommands(wanted, saved([...foreign, ...rules]))).toEqual(commands);
  });

  test('removal takes chain and jumps, and nobody else’s rules', () => {
    expect(chainRemoval(wanted.chain, saved([...foreign, ...wanted.jumps, ...wanted.inChain]))).toEqual([
      ...wanted.jumps.map((rule) => rule.replace('-A', '-D')),
      '-F PODWIRE-OVERLAY-1',
      '-X PODWIRE-OVERLAY-1',
    ]);
    expect(chainRemoval(wanted.chain, saved(foreign, ['POSTROUTING']))).toBeUndefined();
  });
});
