import { afterEach, beforeEach, expect, test } from 'vitest';
import { expectPlugins, podwireBin } from '../support/binaries.ts';
import { callPlugin, expectDone, expectResult } from '../support/call-plugin.ts';
import { createHost, type TestHost } from '../support/test-host.ts';

const ipam = {
  type: 'cluster-ipam',
  nodeName: 'n1',
  pools: [
    { name: 'all', cidr: '10.78.0.0/24', blockSize: 29 },
    { name: 'team', cidr: '10.78.1.0/24', namespaceSelector: { names: ['team'] } },
  ],
};
const plugin = { type: 'bridge', ipam };

let host: TestHost;
beforeEach(async () => {
  expectPlugins(podwireBin, 'podwire', 'cluster-ipam');
  host = await createHost({ name: 'cli-ipam' });
  const list = JSON.stringify({ cniVersion: '1.1.0', name: 'pods', plugins: [plugin] });
  await host.shell(`mkdir -p /run/conf; cat >/run/conf/10.conflist`, { stdin: list });
});
afterEach(() => host?.dispose());

const ipamCommand = (verb: string, ...args: string[]) =>
  host.attempt([`${podwireBin}/podwire`, 'ipam', verb, 'pods', '--conf-dir', '/run/conf', ...args]);
const ipamJson = async (verb: string, ...args: string[]) => {
  const { stdout } = await ipamCommand(verb, '--json', ...args);
  return JSON.parse(stdout) as Record<string, unknown>;
};
const call = (command: string, containerId: string, netns: string, args?: string) =>
  callPlugin(host, {
    binDir: podwireBin,
    plugin: 'cluster-ipam',
    command,
    containerId,
    netns,
    ...(args === undefined ? {} : { args }),
    config: { cniVersion: '1.1.0', name: 'pods', ...plugin },
  });
const living = '/proc/self/ns/net';

test('show tells the use of pools, nodes and pods', async () => {
  expectResult(await call('ADD', 'a', living));
  expectResult(await call('ADD', 'b', living));
  expect(await ipamJson('show')).toMatchObject({
    pools: [
      { pool: 'all', claimed: 1, blocks: 32, nodes: 1 },
      { pool: 'team', claimed: 0, blocks: 4 },
    ],
  });
  expect(await ipamJson('show', '--by', 'node')).toMatchObject({ nodes: [{ node: 'n1', pool: 'all' }] });
  const { pods } = (await ipamJson('show', '--by', 'pod')) as { pods: { containerId: string }[] };
  expect(pods.map(({ containerId }) => containerId).toSorted()).toEqual(['a', 'b']);
  const { stdout } = await ipamCommand('show');
  expect(stdout).toMatch(/all +10\.78\.0\.0\/24 +▎? .* 1 of 32 blocks/);
});

test('explain tells which pools a pod may use, why, and in which order', async () => {
  const explained = await ipamJson('explain', '--namespace', 'team');
  expect(explained).toMatchObject({ pools: [{ pool: 'team' }, { pool: 'all' }] });
  expect(await ipamJson('explain')).toMatchObject({
    pools: [{ pool: 'all' }],
    trail: [
      { pool: 'all', isEligible: true },
      { pool: 'team', isEligible: false, reason: expect.stringContaining('the runtime told none') },
    ],
  });
});

test('check is content with what is in order, and finds a leak, which release frees', async () => {
  expectResult(await call('ADD', 'a', living));
  expect(await ipamCommand('check')).toMatchObject({ exitCode: 0 });
  const added = expectResult(await call('ADD', 'b', '/run/netns/gone'));
  const address = added.ips?.[0]?.address.replace(/\/.*/, '') as string;
  expect(await ipamCommand('check')).toMatchObject({ exitCode: 1 });
  expect(await ipamJson('check')).toMatchObject({
    findings: [{ kind: 'leak', what: expect.stringContaining(address) }],
  });
  expect(await ipamCommand('release', address)).toMatchObject({ exitCode: 0 });
  expect(await ipamCommand('check')).toMatchObject({ exitCode: 0 });
});

test('release leaves an address alone whose container is there, unless forced', async () => {
  const added = expectResult(await call('ADD', 'a', living, 'IgnoreUnknown=1;IP=10.78.0.77'));
  expect(added.ips?.[0]?.address).toBe('10.78.0.77/24');
  const refused = await ipamCommand('release', '10.78.0.77');
  expect(refused.exitCode).toBe(1);
  expect(refused.stderr).toContain('is there');
  expect(await ipamJson('show')).toMatchObject({ pools: [{ fixed: 1 }, {}] });
  expect(await ipamCommand('release', '10.78.0.77', '--force')).toMatchObject({ exitCode: 0 });
  expect(await ipamJson('show')).toMatchObject({ pools: [{ fixed: 0 }, {}] });
  expect((await ipamCommand('release', '10.78.0.77')).stderr).toContain('nobody on node n1 holds 10.78.0.77');
});

test('check finds blocks that overlap and blocks that the node does not know; gc takes over what is said', async () => {
  expectResult(await call('ADD', 'a', living));
  const claimedAt = '2026-01-01T00:00:00Z';
  const block = { cidr: '10.78.0.0/24', pool: 'all', node: 'n2', network: 'pods', claimedAt };
  const own = { ...block, cidr: '10.78.1.64/26', pool: 'team', node: 'n1' };
  for (const value of [block, own]) {
    const name = value.cidr.replaceAll(/[./]/g, '-');
    await host.shell(`cat >/var/lib/podwire/datastore/blocks/${name}.json`, {
      stdin: JSON.stringify({ version: name, value }),
    });
  }
  const found = async () => {
    const { findings } = (await ipamJson('check')) as { findings: { kind: string; what: string }[] };
    return findings.map(({ kind, what }) => `${kind}: ${what}`).toSorted();
  };
  const overlap = expect.stringMatching(
    /^duplicate: block 10\.78\.0\.\d+\/29 of node n1 overlaps 10\.78\.0\.0\/24 of node n2$|^duplicate: block 10\.78\.0\.0\/24 of node n2 overlaps 10\.78\.0\.0\/29 of node n1$/,
  );
  expect(await found()).toEqual([
    expect.stringMatching(/^difference: .*10\.78\.1\.64\/26 is this node's, which does not know it$/),
    overlap,
  ]);
  await ipamJson('gc');
  expect(await found()).toEqual([overlap]);
});

test('gc reclaims nothing of nodes that it is told of', async () => {
  expectResult(await call('ADD', 'a', living));
  expect(await ipamJson('gc', '--node', 'n1')).toMatchObject({ reclaimed: { blocks: [], marked: 0 } });
  expect(await ipamJson('gc', '--node', 'other')).toMatchObject({ reclaimed: { blocks: [], marked: 1 } });
  expectDone(await call('DEL', 'a', living));
});

test('a network without cluster-ipam is refused', async () => {
  await host.shell('cat >/run/conf/10.conflist', {
    stdin: JSON.stringify({ cniVersion: '1.1.0', name: 'pods', plugins: [{ type: 'loopback' }] }),
  });
  const { exitCode, stderr } = await ipamCommand('show');
  expect(exitCode).toBe(1);
  expect(stderr).toContain('does not use cluster-ipam');
});
