import { existsSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { podwireBin } from '../support/binaries.ts';
import { EtcdServer, lackingEtcd } from '../support/etcd.ts';
import { requireRoot, requireTool } from '../support/needs.ts';
import { expectSuccess, type Outcome, systemPath } from '../support/process.ts';
import { IpamHost } from './ipam-host.ts';

let etcd: EtcdServer;
let node: IpamHost;
beforeEach(async (context) => {
  requireRoot(context);
  requireTool(context, 'jq');
  const lacking = lackingEtcd();
  if (lacking !== undefined) context.skip(lacking);
  etcd = await EtcdServer.start();
  node = await IpamHost.create();
  const { endpoints, tls } = etcd.options;
  const datastore = { type: 'etcd', endpoints, ...tls };
  node.configure({ datastore, pools: undefined });
  await put('pools/all', { cidr: '10.217.0.0/24', blockSize: 29 });
});
afterEach(async () => {
  await node?.host.dispose();
  await etcd?.[Symbol.asyncDispose]();
});

const put = (path: string, value: object) => etcd.ctl('put', `/podwire/ipam/${path}`, JSON.stringify(value));
const claim = (node: string, cidr: string) => ({
  cidr,
  pool: 'all',
  node,
  network: 'pods',
  claimedAt: '2026-01-01T00:00:00Z',
});

/** In the network where etcd listens, on the files of the host. */
const near = (argv: string[], env: Record<string, string> = {}, stdin = ''): Promise<Outcome> =>
  node.host.start(argv, { env: { PATH: systemPath, ...env }, stdin }, '/proc/self/ns/net').outcome;
const ipam = (...args: string[]) =>
  near([`${podwireBin}/podwire`, 'ipam', ...args, '--conf-dir', '/run/cli/net.d']);
const json = async (...args: string[]) =>
  JSON.parse((await ipam(...args, '--json')).stdout) as Record<string, unknown>;
const codes = async () => {
  const { findings } = (await json('check')) as { findings: { code: string; subject: string }[] };
  return findings.map(({ code, subject }) => `${code} ${subject}`).toSorted();
};

/** A call of the IPAM plugin alone, with the netns of a pod that has no interface yet. */
const add = async (containerId: string, netns: string): Promise<string> => {
  const conflist = await node.host.shell('cat /run/cli/net.d/pods.conflist');
  const { cniVersion, name, plugins } = JSON.parse(conflist) as { [key: string]: unknown; plugins: object[] };
  const env = {
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: containerId,
    CNI_NETNS: netns,
    CNI_IFNAME: 'eth0',
    CNI_PATH: podwireBin,
  };
  const config = JSON.stringify({ cniVersion, name, ...plugins[0] });
  const printed = expectSuccess(await near([`${podwireBin}/cluster-ipam`], env, config));
  const { ips } = JSON.parse(printed) as { ips: { address: string }[] };
  return ips[0]?.address.replace(/\/.*/, '') as string;
};

test('planted leaks, orphans and duplicates in a real etcd are found, and mended by gc and release', async () => {
  expect(await json('explain')).toMatchObject({ families: [{ source: 'claim', pool: 'all' }] });
  await node.host.addPod('a');
  await node.host.addPod('b');
  const [a, b] = [await add('a', '/run/netns/a'), await add('b', '/run/netns/b')];
  expect(await json('show')).toMatchObject({ pools: [{ pool: 'all', claimed: 1, blocks: 32, nodes: 1 }] });
  expect(await codes()).toEqual([]);

  const own = await node.ownBlock();
  await put(`blocks/10-217-0-0-24`, claim('n2', '10.217.0.0/24'));
  await put('addresses/10-217-0-250', {
    ...{ address: '10.217.0.250', pool: 'all', node: 'n1', network: 'pods' },
    ...{ containerId: 'ghost', ifname: 'eth0' },
  });
  await node.host.exec(['ip', 'netns', 'del', 'b']);
  expect(await codes()).toEqual(
    [`netns-gone ${b}`, `overlapping-blocks ${own}`, 'record-without-container 10.217.0.250'].toSorted(),
  );
  expect(await json('gc')).toMatchObject({ freed: [b], orphans: 1 });
  expect(await codes()).toEqual([`overlapping-blocks ${own}`]);
  expect((await ipam('release', '--node', 'n2')).stderr).toContain('not known to be gone');
  expect(await json('release', '--node', 'n2', '--force')).toMatchObject({ blocks: ['10.217.0.0/24'] });
  expect(await codes()).toEqual([]);
  expect(await json('show', '--by', 'pod')).toMatchObject({ pods: [{ address: a, containerId: 'a' }] });
});

test('with etcd away each verb ends with a clear error, and shows what the node has', async () => {
  await node.host.addPod('a');
  const address = await add('a', '/run/netns/a');
  await etcd.kill();
  const shown = await ipam('show', '--by', 'pod');
  expect(shown).toMatchObject({ exitCode: 1, stdout: expect.stringContaining(address) });
  expect(shown.stderr).toContain('error 11: ');
  expect(shown.stderr).toContain('etcd');
  expect(await json('check')).toMatchObject({ findings: [], datastore: { error: expect.any(String) } });
  await node.host.exec(['ip', 'netns', 'del', 'a']);
  const refused = await ipam('release', address);
  expect(refused).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('error 11: ') });
  const collected = await ipam('gc');
  expect(collected).toMatchObject({ exitCode: 1, stdout: `freed ${address}\n` });
  expect(collected.stderr).toContain('error 11: ');
  expect(existsSync(node.host.path(`/var/lib/podwire/ipam/pods/${address}`))).toBe(false);
});
