import { describe, expect, test } from 'vitest';
import { choosePools } from '../../shared/ipam/choose.ts';
import type { AddressRequest } from '../../shared/ipam/request.ts';
import { parseAddress } from '../../shared/kernel/address-math.ts';
import { plainStyle } from '../terminal.ts';
import { renderExplanation } from './explain.ts';
import { explainFamily, familiesOf } from './explain-address.ts';
import type { LocalView, RemoteView } from './observe.ts';
import { block, fixed, held, ipam, localView, now, remoteView } from './sample.ts';

const requestOf = (address?: string, key?: string, named?: string[]): AddressRequest => {
  const parsed = address === undefined ? undefined : parseAddress(address);
  return {
    owner: { containerId: '', ifname: 'eth0' },
    netns: '',
    asker: { node: 'n1', nodeLabels: {}, namespace: 'x', namespaceLabels: {}, named },
    families: undefined,
    requested: parsed === undefined ? [] : [parsed],
    sticky: key === undefined ? undefined : { key, holdSeconds: 60 },
    pod: 'x/p',
  };
};
const explained = (
  request: AddressRequest,
  remote: RemoteView = remoteView(),
  local: LocalView | undefined = localView(),
  node = ipam,
) => explainFamily(node, 4, request, choosePools(remote.pools, request.asker), remote, local);

const soon = new Date(now).toISOString();
const two = { all: { cidr: '10.1.0.0/24' }, b: { cidr: '10.2.0.0/28', blockSize: 29 } };
const full: LocalView = {
  ...localView(),
  blocks: [{ cidr: '10.1.0.0/26', pool: 'all', size: 61, free: 0, held: 61 }],
};
const allClaimed = ['10.1.0.0/26', '10.1.0.64/26', '10.1.0.128/26', '10.1.0.192/26'].map((cidr) =>
  block(cidr),
);

describe('an address that is requested', () => {
  const cases: [string, string, RemoteView, LocalView, string][] = [
    ['in an own block', '10.1.0.5', remoteView(), localView(), '10.1.0.5 of pool all, as requested'],
    ['in no block', '10.1.0.99', remoteView(), localView(), '10.1.0.99 of pool all, as requested'],
    ['in no pool', '10.9.0.1', remoteView(), localView(), 'no pool has 10.9.0.1'],
    ['that is the gateway', '10.1.0.1', remoteView(), localView(), 'excluded from the pool, or its gateway'],
    [
      'in a pool that is disabled',
      '10.1.0.5',
      remoteView({ pools: { all: { cidr: '10.1.0.0/24', disabled: true } } }),
      localView(),
      'it is in pool all; it is disabled',
    ],
    [
      'in a block of another node',
      '10.1.0.70',
      remoteView({ blocks: [block('10.1.0.64/26', { node: 'n2' })] }),
      localView(),
      'belongs to block 10.1.0.64/26 of node n2',
    ],
    [
      'that another has',
      '10.1.0.99',
      remoteView({ addresses: [fixed('10.1.0.99', { node: 'n2', containerId: 'c2' })] }),
      localView(),
      'container c2 on node n2 has it',
    ],
    [
      'that is kept',
      '10.1.0.99',
      remoteView({ addresses: [fixed('10.1.0.99', { key: 'k', holdSeconds: 60, releasedAt: soon })] }),
      localView(),
      'it is kept for k until',
    ],
    [
      'that is held here',
      '10.1.0.5',
      remoteView(),
      localView([held('10.1.0.5')]),
      'container c1 on this node holds it',
    ],
    [
      'of a leak',
      '10.1.0.5',
      remoteView(),
      localView([held('10.1.0.5', { isStale: true })]),
      '10.1.0.5 of pool all, as requested',
    ],
  ];
  test.for(cases)('%s', ([, address, remote, local, expected]) => {
    const { result, source } = explained(requestOf(address), remote, local);
    expect(result).toContain(expected);
    expect(source).toBe(expected.includes('as requested') ? 'requested' : 'none');
  });

  test('is given to the key that it is kept for', () => {
    const remote = remoteView({
      addresses: [fixed('10.1.0.99', { key: 'k', holdSeconds: 60, releasedAt: soon })],
    });
    expect(explained(requestOf('10.1.0.99', 'k'), remote)).toMatchObject({ source: 'requested' });
    expect(explained(requestOf('10.1.0.99', 'other'), remote)).toMatchObject({ source: 'none' });
  });
});

test('a sticky pod gets what its key has, wherever it was, and any address at first', () => {
  const had = (more: object) => remoteView({ addresses: [fixed('10.1.0.99', { key: 'k', ...more })] });
  const kept = explained(requestOf(undefined, 'k'), had({ holdSeconds: 60, releasedAt: soon }));
  expect(kept).toMatchObject({ source: 'sticky', address: '10.1.0.99', pool: 'all' });
  const moved = explained(requestOf(undefined, 'k'), had({ node: 'n2', containerId: 'c2' }));
  expect(moved.steps[0]).toContain('container c2 on node n2 has now: it is taken over');
  expect(explained(requestOf(undefined, 'new'))).toMatchObject({ source: 'block' });
  const outside = remoteView({ addresses: [fixed('10.9.0.1', { key: 'k' })] });
  expect(explained(requestOf(undefined, 'k'), outside)).toMatchObject({ source: 'block' });
});

describe('any address', () => {
  const cases: [string, RemoteView, LocalView | undefined, object][] = [
    ['of the block at hand', remoteView(), localView(), { source: 'block', block: '10.1.0.0/26' }],
    [
      'of a further block of the pool, before the next pool',
      remoteView({ pools: two }),
      full,
      { source: 'claim', pool: 'all' },
    ],
    [
      'of the next pool, when the first is full',
      remoteView({ pools: two, blocks: allClaimed }),
      full,
      { source: 'claim', pool: 'b' },
    ],
    ['of none, when all are full', remoteView({ blocks: allClaimed }), full, { source: 'none' }],
    [
      'of a node that has no block',
      remoteView({ blocks: [] }),
      localView([], { cidrs: [] }),
      { source: 'claim', pool: 'all' },
    ],
    ['of none without pools', remoteView({ pools: {} }), localView(), { source: 'none' }],
  ];
  test.for(cases)('%s', ([, remote, local, expected]) => {
    expect(explained(requestOf(), remote, local)).toMatchObject(expected);
  });

  test('of another node, whose blocks are known and their use is not', () => {
    const remote = remoteView({ blocks: [block('10.1.0.64/26', { node: 'n2' })] });
    const there = { ...ipam, node: 'n2' };
    const choice = choosePools(remote.pools, requestOf().asker);
    expect(explainFamily(there, 4, requestOf(), choice, remote, undefined)).toMatchObject({
      source: 'unknown',
      block: '10.1.0.64/26',
    });
  });
});

test('families are those wanted, else those of the pools and of what is requested', () => {
  const six = remoteView({ pools: { six: { cidr: 'fd00::/64' } } });
  const choice = choosePools(six.pools, requestOf().asker);
  expect(familiesOf(undefined, choice, requestOf())).toEqual([6]);
  expect(familiesOf(undefined, choice, requestOf('10.1.0.5'))).toEqual([4, 6]);
  expect(familiesOf([4], choice, requestOf())).toEqual([4]);
});

test('the trail is told in order', () => {
  const { trail } = choosePools(
    remoteView({ pools: two }).pools,
    requestOf(undefined, undefined, ['b']).asker,
  );
  const explanation = { node: 'n1', network: 'pods', pod: 'x/p', pools: trail, families: [] };
  expect(renderExplanation(explanation, plainStyle)).toBe(
    [
      'pod x/p on node n1, network pods',
      '  pools    ✓  b    the annotation names it',
      '           ✗  all  the annotation does not name it',
      '  address  ✗ none: no pool is for this pod',
      '',
    ].join('\n'),
  );
});
