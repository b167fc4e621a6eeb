import { afterEach, beforeEach, expect, test } from 'vitest';
import { createKubernetesDatastore } from '../../shared/store/datastore/kubernetes.ts';
import { podwireBin } from '../support/binaries.ts';
import { Authority } from '../support/kubernetes/certificates.ts';
import { ScriptedApiServer } from '../support/kubernetes/scripted-api-server.ts';
import { lackingTools, requireRoot, requireTool, skipFor } from '../support/needs.ts';
import { systemPath } from '../support/process.ts';
import { writeFile } from './cli-host.ts';
import { IpamHost } from './ipam-host.ts';

let authority: Authority;
let server: ScriptedApiServer;
let node: IpamHost;
beforeEach(async (context) => {
  requireRoot(context);
  requireTool(context, 'jq');
  skipFor(context, lackingTools('openssl'));
  authority = await Authority.create();
  server = await ScriptedApiServer.start(authority);
  node = await IpamHost.create();
  const kubeconfig = '/run/cli/kubeconfig';
  node.configure({ datastore: { type: 'kubernetes', kubeconfig }, pools: undefined });
  writeFile(node.host, kubeconfig, {
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'c' },
    clusters: [
      {
        name: 'k',
        cluster: {
          server: server.url,
          'certificate-authority-data': Buffer.from(authority.own.cert).toString('base64'),
        },
      },
    ],
    users: [{ name: 'u', user: { token: 't' } }],
    contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
  });
});
afterEach(async () => {
  await node?.host.dispose();
  await server?.stop();
  await authority?.dispose();
});

/** In the network where the server listens, on the files of the host. */
const ipam = (...args: string[]) =>
  node.host.start(
    [`${podwireBin}/podwire`, 'ipam', ...args, '--conf-dir', '/run/cli/net.d'],
    { env: { PATH: systemPath } },
    '/proc/self/ns/net',
  ).outcome;

test('custom resources are shown, checked, explained and released, by the wire format of the API', async () => {
  const store = createKubernetesDatastore(server.access());
  try {
    await store.create('pools/all', { cidr: '10.216.0.0/24', blockSize: 29 });
    await store.create('blocks/10-216-0-8-29', {
      ...{ cidr: '10.216.0.8/29', pool: 'all', node: 'n2', network: 'pods' },
      ...{ claimedAt: '2026-01-01T00:00:00Z', missingSince: '2026-01-01T00:00:00Z' },
    });
    expect(JSON.parse((await ipam('show', '--json')).stdout)).toMatchObject({
      pools: [{ pool: 'all', claimed: 1, blocks: 32, nodes: 1 }],
    });
    expect(await ipam('check')).toMatchObject({
      exitCode: 1,
      stdout: expect.stringContaining('block 10.216.0.8/29 is of node n2, which is gone since'),
    });
    expect(await ipam('explain')).toMatchObject({ exitCode: 0 });
    expect(await ipam('release', '--node', 'n2')).toMatchObject({
      exitCode: 0,
      stdout: 'released block 10.216.0.8/29\n',
    });
    expect(await store.list('blocks/')).toEqual([]);
    expect(await ipam('check')).toMatchObject({ exitCode: 0 });
  } finally {
    store.close();
  }
  await server.stop();
  const { exitCode, stdout, stderr } = await ipam('explain', '--json');
  expect(exitCode).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject({ code: 11 });
  expect(stderr).toContain('error 11: ');
});
