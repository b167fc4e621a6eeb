import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { requireRoot, requireTool } from '../support/needs.ts';
import { IpamHost } from './ipam-host.ts';

let node: IpamHost;
beforeEach(async (context) => {
  requireRoot(context);
  requireTool(context, 'jq');
  node = await IpamHost.create();
});
afterEach(() => node?.host.dispose());

const claimed = { pool: 'all', network: 'pods', claimedAt: '2026-01-01T00:00:00Z' };
const longAgo = '2026-01-01T00:00:00Z';

describe('check', () => {
  test('is content with pods that have what they hold, and with nothing', async () => {
    expect(await node.ipam('check')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('in order'),
    });
    await node.attach('a');
    await node.attach('b', ';IP=10.219.0.200');
    expect(await node.ipam('check', '--min-age', '0')).toMatchObject({ exitCode: 0 });
    await node.detach('b');
    expect(await node.ipam('check', '--min-age', '0')).toMatchObject({ exitCode: 0 });
  });

  test('a leak whose netns is gone is found, and freed by gc alone', async () => {
    const [a, b] = [await node.attach('a'), await node.attach('b')];
    await node.host.exec(['ip', 'netns', 'del', 'b']);
    expect(await node.ipam('check')).toMatchObject({ exitCode: 1, stdout: expect.stringContaining(b) });
    expect(await node.check()).toEqual([`netns-gone ${b}`]);
    expect(await node.json('gc', '--dry-run')).toMatchObject({ dryRun: true, freed: [b] });
    expect(await node.check()).toEqual([`netns-gone ${b}`]);
    expect(await node.json('gc')).toMatchObject({ dryRun: false, freed: [b] });
    expect(await node.check()).toEqual([]);
    expect(await node.json('show', '--by', 'pod')).toMatchObject({ pods: [{ address: a }] });
  });

  test('a container whose netns lost its name, but lives, is no safe leak', async () => {
    const address = await node.attach('a');
    const living = node.host.start(['nsenter', '--net=/run/netns/a', 'sh', '-c', 'echo up; exec sleep 600']);
    try {
      await node.host.shell('until ip netns pids a | grep -q .; do sleep 0.02; done');
      await node.host.exec(['ip', 'netns', 'del', 'a']);
      expect(await node.check()).toEqual([`netns-gone ${address}`]);
      expect(await node.json('gc')).toMatchObject({ freed: [] });
      const refused = await node.ipam('release', address);
      expect(refused.exitCode).toBe(1);
      expect(refused.stderr).toContain(`pod x/a, container a eth0 uses ${address}`);
      expect(await node.check()).toEqual([`netns-gone ${address}`]);
    } finally {
      living.kill('SIGKILL');
      await living.outcome;
    }
  });

  test('an address that is not in its netns, one that nobody holds, and one that two have', async () => {
    const [a, b] = [await node.attach('a'), await node.attach('b')];
    const block = await node.ownBlock();
    const base = Number(/\.(\d+)\//.exec(block)?.[1]);
    const loose = [...Array(8).keys()]
      .map((offset) => `10.219.0.${base + offset}`)
      .find((address) => address !== a && address !== b && !/\.(0|1|255)$/.test(address)) as string;
    await node.host.exec(['ip', '-n', 'a', 'address', 'flush', 'dev', 'eth0']);
    await node.host.addPod('c');
    await node.host.exec(['ip', '-n', 'c', 'address', 'add', `${loose}/24`, 'dev', 'lo']);
    await node.host.exec(['ip', '-n', 'c', 'address', 'add', `${b}/24`, 'dev', 'lo']);
    await node.host.exec(['ip', 'link', 'add', 'd0', 'type', 'bridge']);
    await node.host.exec(['ip', 'link', 'set', 'd0', 'up']);
    expect(await node.check()).toEqual([`in-two-netns ${b}`, `not-held ${loose}`, `unused ${a}`].toSorted());
    await node.host.exec(['ip', 'netns', 'del', 'c']);
    await node.host.exec(['ip', 'route', 'add', `${loose}/32`, 'dev', 'd0']);
    expect(await node.check()).toEqual([`route-to-nobody ${loose}`, `unused ${a}`]);
    // An address that was taken just now is one of an ADD, for all that check knows.
    await node.host.exec(['ip', 'route', 'del', `${loose}/32`, 'dev', 'd0']);
    expect(await node.ipam('check')).toMatchObject({ exitCode: 0 });
    expect(await node.json('gc')).toMatchObject({ freed: [] });
    await node.detach('a');
    expect(await node.check()).toEqual([]);
  });

  test('planted blocks and records: overlap, unknown pool, unknown node, outside, two for a key, over', async () => {
    await node.attach('a');
    const block = await node.ownBlock();
    node.record('blocks/10-219-0-0-24', { ...claimed, cidr: '10.219.0.0/24', node: 'n2' });
    node.record('blocks/10-219-1-0-26', { ...claimed, cidr: '10.219.1.0/26', node: 'n3', pool: 'old' });
    node.record('blocks/10-218-0-0-29', {
      ...claimed,
      cidr: '10.218.0.0/29',
      node: 'n2',
      missingSince: longAgo,
    });
    const kept = { pool: 'all', node: 'n2', network: 'pods', holdSeconds: 3600 };
    node.record('addresses/10-219-1-70', { ...kept, address: '10.219.1.70', key: 'k', containerId: 'q' });
    node.record('addresses/10-219-1-71', { ...kept, address: '10.219.1.71', key: 'k', releasedAt: longAgo });
    expect(await node.check()).toEqual(
      [
        `overlapping-blocks ${block}`,
        'block-of-unknown-pool 10.219.1.0/26',
        'block-outside-pool 10.218.0.0/29',
        'node-gone 10.218.0.0/29',
        'key-has-two 10.219.1.71',
        'hold-over 10.219.1.71',
      ].toSorted(),
    );
    expect(await node.check('--known-node', 'n2')).toContain('unknown-node 10.219.1.0/26');
    expect(await node.json('gc')).toMatchObject({ expired: 1 });
    expect(await node.check()).not.toContain('hold-over 10.219.1.71');
  });

  test('node and datastore that differ are brought together by gc', async () => {
    await node.attach('a', ';IP=10.219.0.200');
    const before = await node.check();
    expect(before).toEqual([]);
    const own = { ...claimed, node: 'n1' };
    node.record('blocks/10-219-0-248-29', { ...own, cidr: '10.219.0.248/29' });
    node.record('addresses/10-219-0-210', {
      ...own,
      address: '10.219.0.210',
      containerId: 'ghost',
      ifname: 'eth0',
    });
    expect(await node.check()).toEqual([
      'block-not-known 10.219.0.248/29',
      'record-without-container 10.219.0.210',
    ]);
    expect(await node.json('gc')).toMatchObject({ orphans: 1 });
    expect(await node.check()).toEqual([]);
    await node.editState('.blocks += [{cidr: "10.219.0.0/29", pool: "all"}]');
    expect(await node.check()).toEqual(['block-not-recorded 10.219.0.0/29']);
    await node.json('gc');
    expect(await node.check()).toEqual([]);
  });
});

describe('release', () => {
  test('leaves alone what a pod uses, tells who, and is forced', async () => {
    const address = await node.attach('a');
    const refused = await node.ipam('release', address);
    expect(refused).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining(`pod x/a, container a eth0 uses ${address}`),
    });
    expect(await node.check()).toEqual([]);
    const forced = await node.ipam('release', address, '--force');
    expect(forced).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining(`released ${address}\nforced: `),
    });
    expect(await node.check()).toEqual([`not-held ${address}`]);
    expect((await node.ipam('release', address)).stderr).toContain('nobody on node n1 holds');
  });

  test('frees a leak without force', async () => {
    const address = await node.attach('a');
    await node.host.exec(['ip', 'netns', 'del', 'a']);
    expect(await node.json('release', address)).toMatchObject({ addresses: [address], harms: [] });
    expect(await node.check()).toEqual([]);
  });

  test('ends a hold of a pod only by force, and the pod gets another address or the same again', async () => {
    node.configure({ sticky: true });
    const address = await node.attach('a');
    await node.detach('a');
    expect(await node.json('show', '--by', 'pod')).toMatchObject({
      pods: [
        { address, kind: 'sticky', key: 'pods/x/a/eth0', containerId: '', keptUntil: expect.any(String) },
      ],
    });
    const sticky = ['explain', '--namespace', 'x', '--pod', 'a'];
    expect(await node.json(...sticky)).toMatchObject({ families: [{ source: 'sticky', address }] });
    const refused = await node.ipam('release', '--pod', 'x/a');
    expect(refused).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining(`${address} is kept for pods/x/a/eth0`),
    });
    expect(await node.json('release', '--pod', 'x/a', '--force')).toMatchObject({ addresses: [address] });
    expect(await node.json('show', '--by', 'pod')).toMatchObject({ pods: [] });
    expect(await node.json(...sticky)).toMatchObject({ families: [{ source: 'block' }] });
    expect(await node.check()).toEqual([]);
  });

  test('of a node takes what is long gone, and not what may live', async () => {
    await node.attach('a');
    const gone = { ...claimed, node: 'n9' };
    const block = { ...gone, cidr: '10.219.1.64/26', pool: 'team' };
    node.record('blocks/10-219-1-64-26', block);
    const refused = await node.ipam('release', '--node', 'n9');
    expect(refused).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('not known to be gone') });
    expect((await node.ipam('release', '--node', 'n1')).stderr).toContain('an address is held here');
    node.record('blocks/10-219-1-64-26', { ...block, missingSince: longAgo });
    node.record('addresses/10-219-1-200', {
      ...gone,
      address: '10.219.1.200',
      pool: 'team',
      containerId: 'z',
      missingSince: longAgo,
    });
    expect(await node.json('release', '--node', 'n9')).toMatchObject({
      blocks: ['10.219.1.64/26'],
      addresses: ['10.219.1.200'],
    });
    expect(await node.check()).toEqual([]);
    expect((await node.ipam('release', '--node', 'n9')).stderr).toContain('node n9 has no block');
  });

  test.for([
    [[], 'give one of ADDRESS'],
    [['10.219.0.1', '--pod', 'x/a'], 'give one of ADDRESS'],
    [['10.219.0.0/29'], 'is no IP address'],
    [['--pod', 'a'], 'is no pod'],
  ] as const)('of %j is refused', async ([args, expected]) => {
    expect(await node.ipam('release', ...args)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining(expected),
    });
  });
});

test('gc marks what is of other nodes than those that are told, and reclaims it later', async () => {
  await node.attach('a');
  expect(await node.json('gc', '--known-node', 'n1')).toMatchObject({ reclaimed: { blocks: [], marked: 0 } });
  node.record('blocks/10-219-1-64-26', { ...claimed, cidr: '10.219.1.64/26', pool: 'team', node: 'n9' });
  expect(await node.json('gc', '--known-node', 'n1')).toMatchObject({ reclaimed: { blocks: [], marked: 1 } });
  node.record('blocks/10-219-1-64-26', {
    ...claimed,
    cidr: '10.219.1.64/26',
    pool: 'team',
    node: 'n9',
    missingSince: longAgo,
  });
  expect(await node.json('gc', '--known-node', 'n1')).toMatchObject({
    reclaimed: { blocks: ['10.219.1.64/26'] },
  });
});
