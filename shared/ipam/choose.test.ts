import { expect, test } from 'vitest';
import { type Asker, choosePools, describeTrail } from './choose.ts';
import { parsePools } from './pool.ts';

const { pools, refused } = parsePools([
  { name: 'all', value: { cidr: '10.0.0.0/24' } },
  { name: 'team', value: { cidr: '10.0.1.0/24', namespaceSelector: { names: ['team'] } } },
  { name: 'db', value: { cidr: '10.0.2.0/24', namespaceSelector: { matchLabels: { tier: 'db' } } } },
  { name: 'edge', value: { cidr: '10.0.3.0/24', nodeSelector: { matchLabels: { zone: 'edge' } } } },
  { name: 'off', value: { cidr: '10.0.4.0/24', disabled: true } },
  { name: 'overlapping', value: { cidr: '10.0.0.0/16' } },
]);
const asker: Asker = {
  node: 'n1',
  nodeLabels: {},
  namespace: 'x',
  namespaceLabels: undefined,
  named: undefined,
};
const names = (changes: Partial<Asker>) =>
  choosePools(pools, { ...asker, ...changes }).pools.map(({ name }) => name);
const reason = (pool: string, changes: Partial<Asker> = {}) =>
  choosePools(pools, { ...asker, ...changes }).trail.find((verdict) => verdict.pool === pool)?.reason;

test('a pool that overlaps an earlier one is refused', () => {
  expect(refused.map(({ name, error }) => [name, error.code])).toEqual([['overlapping', 7]]);
});

test.for([
  { changes: {}, expected: ['all'] },
  { changes: { namespace: 'team' }, expected: ['team', 'all'] },
  { changes: { namespaceLabels: { tier: 'db' } }, expected: ['db', 'all'] },
  { changes: { nodeLabels: { zone: 'edge' } }, expected: ['all', 'edge'] },
  { changes: { nodeLabels: { zone: 'edge' }, named: ['edge', 'all'] }, expected: ['edge', 'all'] },
  { changes: { named: ['off'] }, expected: [] },
  { changes: { named: ['team'] }, expected: [] },
  { changes: { namespace: '' }, expected: ['all'] },
] as { changes: Partial<Asker>; expected: string[] }[])(
  '$changes may use $expected',
  ({ changes, expected }) => {
    expect(names(changes)).toEqual(expected);
  },
);

test.for([
  { pool: 'off', changes: {}, expected: 'it is disabled' },
  { pool: 'team', changes: {}, expected: 'namespace "x" is none of team' },
  { pool: 'team', changes: { namespace: '' }, expected: 'the runtime told none' },
  { pool: 'db', changes: {}, expected: 'the labels of namespace "x" are not known on this node' },
  { pool: 'db', changes: { namespaceLabels: {} }, expected: 'lacks the label tier=db' },
  { pool: 'edge', changes: {}, expected: 'node n1 lacks the label zone=edge' },
  { pool: 'all', changes: { named: ['edge'] }, expected: 'the annotation does not name it' },
  { pool: 'none', changes: { named: ['none'] }, expected: 'there is no such pool' },
  { pool: 'all', changes: {}, expected: 'it is for all namespaces' },
] as { pool: string; changes: Partial<Asker>; expected: string }[])(
  'pool $pool, asked with $changes: $expected',
  ({ pool, changes, expected }) => expect(reason(pool, changes)).toContain(expected),
);

test('a trail is a sentence', () => {
  expect(describeTrail(choosePools(pools.slice(4), asker).trail)).toMatch(/^pool (off|team): /);
  expect(describeTrail([])).toBe('there are no pools');
});
