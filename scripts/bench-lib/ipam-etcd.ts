import { claimBlock } from '../../shared/ipam/claim.ts';
import { type IpamNode, poolsOf, withNode, withRemote } from '../../shared/ipam/node.ts';
import { syncNode } from '../../shared/ipam/sync.ts';
import type { Datastore } from '../../shared/store/datastore/datastore.ts';
import { createEtcdDatastore } from '../../shared/store/datastore/etcd.ts';
import { EtcdServer } from '../../test/support/etcd.ts';
import { callPlugin } from './call.ts';
import type { EtcdFigures } from './protocol.ts';

/** One node of many: its name and where its files are, on a real disk. */
const place = (node: string) => ({ node, dataDir: `/var/lib/cni/ipam-etcd/${node}` });
const network = 'bench';
const prefix = '/bench';

/** Starts an etcd (TLS, client certificates) on this host, and measures cluster-ipam with it. */
export const measureEtcd = async (bin: string, adds: number, claims: number): Promise<EtcdFigures> => {
  await using server = await EtcdServer.start();
  const datastore = createEtcdDatastore({ ...server.options, prefix });
  try {
    await datastore.create('pools/bench', { cidr: '10.88.0.0/16', blockSize: 26 });
    const { ca, cert, key } = server.options.tls;
    const etcd = {
      type: 'etcd',
      endpoints: server.endpoints,
      ca,
      cert,
      key,
      prefix,
    };
    const add = async (node: string, containerId: string): Promise<number> => {
      const { dataDir } = place(node);
      const ipam = { type: 'cluster-ipam', nodeName: node, dataDir, datastore: etcd };
      const { cost } = await callPlugin({
        verb: 'ADD',
        program: `${bin}/cluster-ipam`,
        bin,
        containerId,
        netns: '/run/netns/none',
        config: { cniVersion: '1.0.0', name: network, type: 'bridge', ipam },
      });
      return cost.wallMs;
    };
    const claimingMs: number[] = [];
    const atHandMs: number[] = [];
    // The first call finds nothing cached, and is of no node that is measured.
    await add('first', 'c');
    for (let index = 0; index < claims; index++) {
      claimingMs.push(await add(`n${index}`, 'a'));
      atHandMs.push(await add(`n${index}`, 'b'));
    }
    const connectedMs: number[] = [];
    for (let index = 0; index < claims; index++)
      connectedMs.push(await claimConnected(datastore, `c${index}`));
    const before = await revisionOf(server);
    for (let index = 0; index < adds; index++) await add('writer', `w${index}`);
    return { adds, writes: (await revisionOf(server)) - before, atHandMs, claimingMs, connectedMs };
  } finally {
    datastore.close();
  }
};

/** How long a node that has nothing yet takes for its first block when its process is connected already; ms. */
const claimConnected = async (datastore: Datastore, node: string): Promise<number> => {
  const ipam: IpamNode = {
    ...place(node),
    network,
    datastore: 'etcd',
    connect: async () => ({ ...datastore, close: () => {} }),
    pools: undefined,
    ownSubnet: false,
    graceMs: 3_600_000,
    now: Date.now,
  };
  const started = Bun.nanoseconds();
  await withRemote(ipam, async (remote) => {
    const view = await syncNode(ipam, remote);
    const [pool] = await withNode(ipam, (_, state) => poolsOf(ipam, state).pools);
    if (pool === undefined) throw new Error('there is no pool');
    const outcome = await claimBlock(ipam, remote, pool, view);
    if (typeof outcome !== 'object') throw new Error(`no block was claimed: ${outcome}`);
  });
  return (Bun.nanoseconds() - started) / 1e6;
};

/** etcd's revision, which each write raises by one. */
const revisionOf = async (server: EtcdServer): Promise<number> => {
  const [status] = JSON.parse(await server.ctl('endpoint', 'status', '--write-out=json')) as {
    Status: { header: { revision: number } };
  }[];
  return Number(status?.Status.header.revision);
};
