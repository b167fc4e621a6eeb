import { expect, test } from 'vitest';
import { type Cidr, formatAddress, formatCidr, parseCidr } from '../kernel/address-math.ts';
import { firstClaimable, freelyGiven } from './blocks.ts';
import { type Pool, parsePool } from './pool.ts';
import { countOf, parseSpan, spanOf, subtract } from './ranges.ts';
import { addressName, blockPath } from './record-names.ts';

const pool = (keys: object = {}): Pool => parsePool('p', { cidr: '10.0.0.0/24', blockSize: 26, ...keys });
const cidr = (text: string): Cidr => parseCidr(text) as Cidr;
const shown = (spans: ReturnType<typeof freelyGiven>): string[] =>
  spans.map(({ family, first, last }) =>
    [first, last].map((value) => formatAddress({ family, value })).join('-'),
  );
const given = (keys: object, block: string, ownSubnet = false) =>
  shown(freelyGiven(pool(keys), cidr(block), ownSubnet));

test.for([
  {
    what: 'the first block lacks network and gateway',
    keys: {},
    block: '10.0.0.0/26',
    expected: ['10.0.0.2-10.0.0.63'],
  },
  {
    what: 'the last one the broadcast address',
    keys: {},
    block: '10.0.0.192/26',
    expected: ['10.0.0.192-10.0.0.254'],
  },
  { what: 'one between is whole', keys: {}, block: '10.0.0.64/26', expected: ['10.0.0.64-10.0.0.127'] },
  {
    what: 'excluded addresses are left out',
    keys: { excluded: ['10.0.0.70', '10.0.0.80-10.0.0.200'] },
    block: '10.0.0.64/26',
    expected: ['10.0.0.64-10.0.0.69', '10.0.0.71-10.0.0.79'],
  },
  {
    what: 'reserved ones, too',
    keys: { reserved: ['10.0.0.64/27'] },
    block: '10.0.0.64/26',
    expected: ['10.0.0.96-10.0.0.127'],
  },
  {
    what: 'a gateway elsewhere',
    keys: { gateway: '10.0.0.127' },
    block: '10.0.0.64/26',
    expected: ['10.0.0.64-10.0.0.126'],
  },
  { what: 'a pool made smaller', keys: { cidr: '10.0.0.0/25' }, block: '10.0.0.128/26', expected: [] },
])('$what', ({ keys, block, expected }) => expect(given(keys, block)).toEqual(expected));

test('a block that is a subnet of its own has a gateway of its own', () => {
  expect(given({}, '10.0.0.64/26', true)).toEqual(['10.0.0.66-10.0.0.126']);
});

test('the candidates of a node are all blocks, each once, in an order of its own', () => {
  const order = (seed: string): string[] => {
    const taken: ReturnType<typeof spanOf>[] = [];
    for (;;) {
      const block = firstClaimable(pool({ cidr: '10.0.0.0/16' }), seed, taken, false);
      if (block === undefined) return taken.map((span) => String(span.first));
      taken.push(spanOf(block));
    }
  };
  const [a, b] = [order('a'), order('b')];
  expect(a).toHaveLength(1024);
  expect(new Set(a).size).toBe(1024);
  expect(a.toSorted()).toEqual(b.toSorted());
  expect(a).not.toEqual(b);
  expect(order('a')).toEqual(a);
});

test('blocks of another size are minded, and those with nothing to give are left out', () => {
  const one = (taken: string[], keys: object = {}) => {
    const block = firstClaimable(
      pool(keys),
      'n',
      taken.map((text) => spanOf(cidr(text))),
      false,
    );
    return block && formatCidr(block);
  };
  expect(one(['10.0.0.0/25', '10.0.0.200/30'])).toBe('10.0.0.128/26');
  expect(one(['10.0.0.0/25', '10.0.0.200/30', '10.0.0.128/32'])).toBeUndefined();
  expect(one([], { excluded: ['10.0.0.0/25'], reserved: ['10.0.0.128/26'] })).toBe('10.0.0.192/26');
});

test('a large pool of IPv6 is not looked through', () => {
  const large = parsePool('six', { cidr: 'fd00::/48' });
  const block = firstClaimable(large, 'n', [], false) as Cidr;
  expect(block.prefixLength).toBe(122);
  expect(firstClaimable(large, 'n', [spanOf(block)], false)).not.toEqual(block);
});

test('records are named as Kubernetes names objects', () => {
  expect(blockPath(cidr('10.0.0.70/26'))).toBe('blocks/10-0-0-64-26');
  expect(blockPath(cidr('fd00::41/122'))).toBe('blocks/fd00-0-0-0-0-0-0-40-122');
  expect(addressName(cidr('::/0'))).toBe('0-0-0-0-0-0-0-0');
});

test.for([
  ['10.0.0.0/30', 4n],
  ['10.0.0.7', 1n],
  ['10.0.0.7-10.0.0.9', 3n],
  ['fd00::-fd00::ff', 256n],
  ['10.0.0.9-10.0.0.7', undefined],
  ['10.0.0.1-fd00::1', undefined],
  ['nonsense', undefined],
] as const)('the range %s has %s addresses', ([text, count]) => {
  const span = parseSpan(text);
  expect(span && countOf([span])).toBe(count);
});

test('what is subtracted is gone, whatever the order', () => {
  const span = { family: 4 as const, first: 0n, last: 100n };
  const holes = [
    { family: 4 as const, first: 90n, last: 200n },
    { family: 4 as const, first: 10n, last: 19n },
    { family: 6 as const, first: 0n, last: 50n },
    { family: 4 as const, first: 15n, last: 29n },
  ];
  const left = [
    { family: 4, first: 0n, last: 9n },
    { family: 4, first: 30n, last: 89n },
  ];
  expect(subtract(span, holes)).toEqual(left);
  expect(subtract(span, holes.toReversed())).toEqual(left);
});
