// Nodes in a process of their own, so that they can be killed at any point: in the middle of a system call as well as
// between two. Reads a Setup and then Commands as JSON lines from stdin, writes Answers to stdout. All that outlives
// the process is in the nodes' files and in the datastore.
import { readFileSync } from 'node:fs';
import { toCniError } from '../../../shared/cni/errors.ts';
import { reservationsOf } from '../../../shared/ipam/node.ts';
import { SimulatedCluster } from '../../../shared/ipam/simulation.ts';
import type { Datastore } from '../../../shared/store/datastore/datastore.ts';
import { createEtcdDatastore } from '../../../shared/store/datastore/etcd.ts';
import { createFileDatastore } from '../../../shared/store/datastore/file.ts';
import { createKubernetesDatastore } from '../../../shared/store/datastore/kubernetes.ts';
import { withReservations } from '../../../shared/store/reservations/store.ts';
import { throughFaults } from './faults.ts';
import type { Answer, Command, DatastoreAccess, Setup, Work } from './protocol.ts';
import { randomFrom } from './random.ts';

const open = (access: DatastoreAccess): Datastore => {
  switch (access.kind) {
    case 'etcd':
      return createEtcdDatastore(access.options);
    case 'file':
      return createFileDatastore(access.directory);
    case 'kubernetes':
      return createKubernetesDatastore({
        server: access.server,
        authority: () => readFileSync(access.authorityFile, 'utf8'),
        serverName: undefined,
        credentials: { current: () => ({ token: access.token }), describe: 'the token of the test' },
        source: 'the test',
      });
  }
};

const serve = async (): Promise<void> => {
  let cluster: SimulatedCluster | undefined;
  let isCalm = false;
  for await (const line of console) {
    // The end of stdin reads as an empty line.
    if (line === '') break;
    if (cluster === undefined) {
      const { access, directory, seed, mayDie } = JSON.parse(line) as Setup;
      const datastore = throughFaults(open(access), randomFrom(seed), { isCalm: () => isCalm, mayDie });
      cluster = new SimulatedCluster(directory, datastore);
      continue;
    }
    const command = JSON.parse(line) as Command;
    if (command.do === 'calm') isCalm = true;
    cluster.now = Date.now();
    // Not awaited: the nodes work at the same time.
    void answer(cluster, command);
  }
};

const answer = async (cluster: SimulatedCluster, command: Command): Promise<void> => {
  const { id } = command;
  let reply: Answer;
  try {
    reply = { id, value: await work(cluster, command) };
  } catch (error) {
    const { code, message, details = '' } = toCniError(error);
    reply = { id, code, message: `${message} ${details}` };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
};

const work = async (cluster: SimulatedCluster, command: Work): Promise<string[]> => {
  if (command.do === 'calm') return [];
  const node = cluster.node(command.node);
  switch (command.do) {
    case 'add':
      return node.add(command.container, command.sticky === undefined ? {} : { sticky: command.sticky });
    case 'del':
      await node.del(command.container);
      return [];
    case 'maintain': {
      const { returned } = await node.maintain();
      return returned;
    }
    case 'held':
      return withReservations(
        reservationsOf(node.ipam),
        (store) => {
          store.rescan();
          return store.all().map(({ address, containerId }) => `${address} ${containerId}`);
        },
        node.ipam.options,
      );
  }
};

await serve();
