import { writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { podwireBin } from '../support/binaries.ts';
import { expectDone, expectResult, type PluginCall, startPlugin } from '../support/call-plugin.ts';
import { EtcdServer, lackingEtcd } from '../support/etcd.ts';
import { lackingRoot, skipFor } from '../support/needs.ts';
import { createHost, type TestHost } from '../support/test-host.ts';

describe('cluster-ipam with its datastore in etcd', () => {
  test('two nodes never give the same address, also while etcd is killed', async (context) => {
    skipFor(context, lackingRoot() ?? lackingEtcd());
    await using server = await EtcdServer.start();
    await server.enableAuthentication('podwire', 'right', '/podwire/');
    writeFileSync(server.file('password'), 'right\n');
    await asRoot(server, 'put', '/podwire/ipam/pools/default', '{"cidr":"10.77.0.0/24","blockSize":28}');
    const nodes = await Promise.all(['n1', 'n2'].map((name) => createHost({ name })));
    try {
      const ids = Array.from({ length: 24 }, (_, index) => `container-${index}`);
      const add = (id: string, node: TestHost) => call(server, node, { command: 'ADD', containerId: id });
      // As a runtime does: error 11 is to be tried again.
      const added = async (id: string, node: TestHost): Promise<string> => {
        for (;;) {
          const outcome = await add(id, node);
          if (outcome.error?.code !== 11) return addressOf(outcome);
        }
      };
      const first = await Promise.all(nodes.flatMap((node) => ids.slice(0, 12).map((id) => added(id, node))));
      await server.kill();
      server.resume();
      const second = await Promise.all(nodes.flatMap((node) => ids.slice(12).map((id) => added(id, node))));
      expect(new Set([...first, ...second]).size).toBe(48);
      const [one] = nodes as [TestHost];
      expect(await added('container-0', one)).toBe(first[0]);
      // Two blocks of 16 for each node, and the one that is claimed before it is needed.
      const blocks = await asRoot(server, 'get', '--prefix', '/podwire/ipam/blocks/', '--print-value-only');
      const owners = blocks
        .trim()
        .split('\n')
        .map((text) => (JSON.parse(text) as { node: string }).node);
      for (const node of ['n1', 'n2']) {
        expect(owners.filter((owner) => owner === node).length).toBeGreaterThanOrEqual(2);
      }
      expectDone(await call(server, one, { command: 'DEL', containerId: 'container-0' }));
    } finally {
      await Promise.all(nodes.map((node) => node.dispose()));
    }
  });

  test('a wrong password is said as it is', async (context) => {
    skipFor(context, lackingRoot() ?? lackingEtcd());
    await using server = await EtcdServer.start();
    await server.enableAuthentication('podwire', 'right', '/podwire/');
    writeFileSync(server.file('password'), 'a-wrong-secret\n');
    const node = await createHost({ name: 'n1' });
    try {
      const { error, stderr } = await call(server, node, { command: 'ADD', containerId: 'c' });
      expect(error?.msg).toContain('authentication failed');
      expect(error?.details).toContain('passwordFile');
      expect(JSON.stringify(error) + stderr).not.toContain('a-wrong-secret');
    } finally {
      await node.dispose();
    }
  });
});

/** On the node's files and in our network, where etcd is. */
const call = (server: EtcdServer, node: TestHost, given: Pick<PluginCall, 'command' | 'containerId'>) => {
  const inOurNetwork = {
    start: (argv, options) => node.start(argv, options, '/proc/self/ns/net'),
  } as TestHost;
  const { ca, cert, key } = server.options.tls;
  return startPlugin(inOurNetwork, {
    ...given,
    binDir: podwireBin,
    plugin: 'cluster-ipam',
    netns: `/run/netns/${given.containerId}`,
    config: {
      cniVersion: '1.1.0',
      name: 'pods',
      type: 'bridge',
      ipam: {
        type: 'cluster-ipam',
        nodeName: node.name,
        datastore: {
          type: 'etcd',
          endpoints: server.endpoints,
          ...{ ca, cert, key, user: 'podwire', passwordFile: server.file('password') },
        },
      },
    },
  }).outcome;
};

const addressOf = (outcome: Parameters<typeof expectResult>[0]): string =>
  String(expectResult(outcome).ips?.[0]?.address);

const asRoot = (server: EtcdServer, ...args: string[]) => server.ctl('--user=root:root-secret', ...args);
