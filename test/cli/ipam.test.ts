import { afterEach, beforeEach, expect, test } from 'vitest';
import { requireRoot, requireTool } from '../support/needs.ts';
import { IpamHost } from './ipam-host.ts';

let node: IpamHost;
beforeEach(async (context) => {
  requireRoot(context);
  requireTool(context, 'jq');
  node = await IpamHost.create();
});
afterEach(() => node?.host.dispose());

const foreign = { pool: 'all', node: 'n2', network: 'pods', claimedAt: '2026-01-01T00:00:00Z' };

test('show tells the use of pools, nodes and pods', async () => {
  const [a, b] = [await node.attach('a'), await node.attach('b')];
  expect(await node.json('show')).toMatchObject({
    pools: [
      { pool: 'all', claimed: 1, blocks: 32, nodes: 1, fixed: 0 },
      { pool: 'team', claimed: 0, blocks: 4 },
    ],
  });
  node.record('blocks/10-219-1-0-26', { ...foreign, pool: 'team', cidr: '10.219.1.0/26' });
  const { nodes } = await node.json<{ nodes: { size: number; free: number }[] }>('show', '--by', 'node');
  expect(nodes).toMatchObject([
    { node: 'n1', pool: 'all', cidrs: [await node.ownBlock()] },
    { node: 'n2', pool: 'team', cidrs: ['10.219.1.0/26'] },
  ]);
  expect((nodes[0]?.size ?? 0) - (nodes[0]?.free ?? 0)).toBe(2);
  expect(await node.json('show', '--by', 'pod')).toMatchObject({
    pods: expect.arrayContaining([
      { address: a, node: 'n1', pool: 'all', containerId: 'a', ifname: 'eth0', pod: 'x/a', kind: 'dynamic' },
      expect.objectContaining({ address: b, pod: 'x/b' }),
    ]),
  });
});

test.for([
  ['100', {}, /all {3}10\.219\.0\.0\/24 {2}█?[▏▎▍▌▋▊▉]?░{6,} +3 % {2}1 of 32 blocks/],
  ['100', { LC_ALL: 'C' }, /10\.219\.0\.0\/24 {2}#+\.{6,} +3 %/],
  ['40', {}, /10\.219\.0\.0\/24 +3 % {2}1 of 32 blocks/],
] as const)('bars in %s columns, with %j', async ([columns, env, expected]) => {
  await node.attach('a');
  const { stdout } = await node.attempt(['ipam', 'show'], { COLUMNS: columns, ...env });
  expect(stdout).toMatch(expected);
  for (const line of stdout.split('\n').filter(() => columns !== '40'))
    expect(line.length).toBeLessThanOrEqual(Number(columns));
});

test('explain tells which pools a pod may use, why, and where its address would come from', async () => {
  expect(await node.json('explain', '--namespace', 'team', '--pod', 'p')).toMatchObject({
    pod: 'team/p',
    pools: [
      { pool: 'team', isEligible: true, reason: 'it is for namespace "team"' },
      { pool: 'all', isEligible: true },
    ],
    families: [{ family: 4, source: 'claim', pool: 'team' }],
  });
  const address = await node.attach('a');
  const block = await node.ownBlock();
  expect(await node.json('explain')).toMatchObject({ families: [{ source: 'block', block }] });
  expect(await node.json('explain', '--node', 'n2')).toMatchObject({
    node: 'n2',
    families: [{ source: 'claim', block: expect.not.stringContaining(block) }],
  });
  const asking = (ip: string) => node.json('explain', '--annotation', `podwire.dev/addresses=${ip}`);
  expect(await asking(address)).toMatchObject({
    families: [{ source: 'none', result: expect.stringContaining('container a on this node holds it') }],
  });
  expect(await asking('10.219.1.9')).toMatchObject({
    families: [{ source: 'none', result: expect.stringContaining('it is in pool team') }],
  });
  const none = await node.ipam('explain', '--annotation', 'podwire.dev/pools=team', '--namespace', 'y');
  expect(none.exitCode).toBe(1);
  expect(none.stdout).toMatch(/✗ +team +namespace "y" is none of team/);
  expect(none.stdout).toContain('none: no pool is for this pod');
});

test('explain foretells the block that an ADD then claims', async () => {
  const { families } = await node.json<{ families: { block: string }[] }>('explain');
  await node.attach('a');
  expect(await node.ownBlock()).toBe(families[0]?.block);
});

test('without the datastore, what the node has is shown and compared, with exit code 1', async () => {
  const address = await node.attach('a');
  await node.host.shell('mkdir /var/lib/podwire/datastore/blocks/bad.json');
  const shown = await node.ipam('show', '--by', 'pod');
  expect(shown.stdout).toContain(address);
  expect(shown.stderr).toContain('/var/lib/podwire/datastore');
  expect(shown.exitCode).toBe(1);
  const checked = await node.ipam('check');
  expect(checked.stdout).toContain('Compared was only what this node has.');
  expect(checked.exitCode).toBe(1);
});

test('the network is found by name, by file, or because it is the only one', async () => {
  node.configure({}, 'other');
  const two = await node.ipam('show');
  expect(two.exitCode).toBe(1);
  expect(two.stderr).toContain('2 networks in /run/cli/net.d use cluster-ipam: other, pods');
  expect(await node.json('show', '--network', 'other')).toMatchObject({ network: 'other' });
  const file = ['--config', '/run/cli/net.d/pods.conflist'];
  expect(await node.json('show', ...file)).toMatchObject({ network: 'pods', node: 'n1' });
  expect(await node.ipam('show', ...file, '--network', 'pods')).toMatchObject({ exitCode: 2 });
  node.configure({ type: 'host-local' }, 'other');
  expect((await node.ipam('show', '--network', 'other')).stderr).toContain('does not use cluster-ipam');
  expect(await node.json('show')).toMatchObject({ network: 'pods' });
});

test('looking makes nothing on a node that never used the network', async () => {
  for (const verb of ['show', 'check', 'explain']) {
    expect(await node.ipam(verb)).toMatchObject({ exitCode: 0 });
  }
  expect(await node.host.shell('ls /var/lib/podwire 2>/dev/null || true')).toBe('');
});
