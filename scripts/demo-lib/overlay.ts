import { writeFileSync } from 'node:fs';
import { writeErr, writeOut } from '../../cli/terminal.ts';
import { addPods, podsOf, sameFamily, startAgents } from '../../test/nodes/lab/cluster.ts';
import { createLab, type Lab } from '../../test/nodes/lab/lab.ts';
import type { LabNode } from '../../test/nodes/lab/node.ts';
import { outside } from '../../test/nodes/lab/plan.ts';
import {
  type Exchange,
  exchanges,
  faults,
  nodeParty,
  ownAddress,
  type Party,
  podParty,
  type SeenAs,
} from '../../test/nodes/lab/reach.ts';
import { renderMatrix } from './matrix.ts';
import { check, done, heading, indented, shown } from './report.ts';

// The demo's second part: pods on three nodes. Its argument is the file that the picture goes to.

const main = async (picture: string): Promise<void> => {
  await using lab = await makeNodes();
  await startAll(lab);
  await addAll(lab);
  await showWhoReachesWhom(lab);
  await killAgent(lab);
  await draw(lab, picture);
  await cleanUp(lab);
  done();
};

const makeNodes = async (): Promise<Lab> => {
  heading('Three nodes, as namespaces with their own network and files, on one switch');
  const lab = await createLab();
  for (const { name, host } of lab.nodes) {
    shown(
      name,
      'ip -br address show dev eth0',
      await host.exec(['ip', '-br', 'address', 'show', 'dev', 'eth0']),
    );
  }
  return lab;
};

const startAll = async (lab: Lab): Promise<void> => {
  heading('The agent on every node; who the nodes are stands in a file: no server');
  const entries = lab.nodes.map(({ entry }) => JSON.stringify(entry)).join(',\n            ');
  shown('any', 'cat nodes.json', `{ "nodes": [${entries}] }`);
  for (const { name } of lab.nodes) {
    shown(name, `podwire agent --registry file --registry-file nodes.json --node ${name} &`, '');
  }
  await startAgents(lab.nodes);
  for (const node of lab.nodes) {
    const { device, vni, port, mtu } = node.state();
    const peers = node.peers().map(({ name, via }) => `${name} (${via})`);
    check(`${node.name} is ready: ${device}, VNI ${vni}, UDP ${port}, MTU ${mtu}; peers ${peers.join(', ')}`);
  }
};

const addAll = async (lab: Lab): Promise<void> => {
  heading('Three pods on every node, of the network that the agent has written');
  shown('n1', 'podwire run add podwire /run/netns/n1-a --container-id n1-a', '');
  await Promise.all(lab.nodes.map((node) => addPods(node, 3)));
  for (const { name, pods } of lab.nodes) {
    check(`${name}: ${pods.map((pod) => `${pod.name} ${pod.addresses[0]}`).join(', ')}`);
  }
  const namespaces = podsOf(lab).map((pod) => podParty(pod).netns);
  await lab.prober.serve([
    ...namespaces,
    lab.outside.netnsPath,
    ...lab.nodes.map(({ host }) => host.netnsPath),
  ]);
};

const showWhoReachesWhom = async (lab: Lab): Promise<void> => {
  heading('Who reaches whom, by TCP and UDP, and under which address');
  const pods = podsOf(lab).map(podParty);
  const nodes = lab.nodes.map(nodeParty);
  const world: Party = {
    name: 'outside',
    netns: lab.outside.netnsPath,
    addresses: [outside.ipv4, outside.ipv6],
  };
  const between = exchanges(pods, pods, ownAddress);
  const fromNodes = exchanges(nodes, pods, ofTheNode(lab));
  const outward = exchanges([...pods, ...nodes], [world], ofItsNode(lab));
  const wrong = await faults(lab, [...between, ...fromNodes, ...outward]);
  const all = [...between, ...fromNodes, ...outward];
  const rows = [...pods, ...nodes].map(({ name }) => name);
  const columns = [...pods, world].map(({ name }) => name);
  writeOut(`${indented(renderMatrix(rows, columns, (row, column) => cellOf(all, wrong, row, column)))}`);
  writeOut(indented('4, 6: reached by IPv4, by IPv6, and seen under the right address'));
  const faultsOf = (some: Exchange[]): string[] =>
    wrong.filter((fault) => some.some(({ name }) => fault.startsWith(`${name}: `)));
  check(
    `every pod reaches every other, which sees its own address (${between.length} exchanges): no NAT`,
    faultsOf(between),
  );
  check(`the nodes’ own processes reach every pod (${fromNodes.length})`, faultsOf(fromNodes));
  check(
    `pods reach the outside, which sees their node’s address (${outward.length}): NAT`,
    faultsOf(outward),
  );
};

/** Where a process of a node's own network asks from: an address of the node, of the VTEP or of the pods' gateway. */
const ofTheNode =
  (lab: Lab): SeenAs =>
  (from) => {
    const node = nodeOf(lab, from);
    const vtep = node.state().addresses.map((address) => address.split('/')[0] ?? '');
    return [
      ...from.addresses,
      ...vtep,
      ...vtep.map((address) => address.replace(/(\.0|::)$/, (end) => (end === '::' ? '::1' : '.1'))),
    ];
  };

const ofItsNode =
  (lab: Lab): SeenAs =>
  (from, _to, address) => [sameFamily(nodeOf(lab, from).entry.addresses, address) ?? ''];

const nodeOf = (lab: Lab, { name }: Party): LabNode => {
  const node = lab.nodes.find((each) => each.name === name || each.pods.some((pod) => pod.name === name));
  if (node === undefined) throw new Error(`no node has ${name}`);
  return node;
};

const cellOf = (all: Exchange[], wrong: string[], row: string, column: string) => {
  const asked = all.filter(({ name }) => name.startsWith(`${row} → ${column} `));
  if (asked.length === 0) return undefined;
  const well = (family: '4' | '6'): boolean =>
    asked.every(
      ({ name, question }) =>
        question.to.includes(':') !== (family === '6') ||
        !wrong.some((fault) => fault.startsWith(`${name}: `)),
    );
  return { '4': well('4'), '6': well('6') };
};

const killAgent = async (lab: Lab): Promise<void> => {
  heading('The agent is killed: it never stands in a packet’s path');
  const node = lab.node(1);
  shown('n1', 'kill -9 $AGENT', '');
  await node.stopAgent('SIGKILL');
  const pods = podsOf(lab).map(podParty);
  const between = exchanges(pods, pods);
  check(`every pod still reaches every other (${between.length})`, await faults(lab, between));
  shown('n1', 'ip link delete pwvxlan1', await node.host.exec(['ip', 'link', 'delete', 'pwvxlan1']));
  shown('n1', 'podwire agent … &', '');
  node.startAgent();
  await node.ready();
  check(`started again, it has put back what was missing (${between.length})`, await faults(lab, between));
};

const draw = async (lab: Lab, picture: string): Promise<void> => {
  heading('The picture, drawn from what every node has now');
  const files: string[] = [];
  for (const node of lab.nodes) {
    const file = `${lab.directory}/${node.name}.json`;
    writeFileSync(file, await node.podwire(['topology', '--json']));
    files.push(file);
    shown(node.name, `podwire topology --json >${node.name}.json`, '');
  }
  const node = lab.node(1);
  shown(
    'n1',
    'podwire topology --from n1.json n2.json n3.json',
    await node.podwire(['topology', '--from', ...files]),
  );
  writeFileSync(picture, await node.podwire(['topology', '--svg', '-', '--from', ...files]));
  shown('n1', `podwire topology --from n1.json n2.json n3.json --svg ${picture}`, '');
  check(`the picture is in ${picture}`);
};

const cleanUp = async (lab: Lab): Promise<void> => {
  heading('Taken off again: nothing is left on a node');
  const node = lab.node(1);
  for (const { name } of [...node.pods]) await node.deletePod(name);
  await node.stopAgent();
  shown('n1', 'podwire agent --cleanup', await node.cleanup());
  const links = (await node.host.exec(['ip', '-br', 'link']))
    .split('\n')
    .filter((line) => /^(pw|veth)/.test(line));
  const routes = await node.host.exec(['ip', 'route', 'show', 'proto', '112']);
  const rules = await node.host.exec(['nft', 'list', 'ruleset']);
  check('no VTEP, no veth', links);
  check(
    'no route of ours',
    routes.split('\n').filter((line) => line !== ''),
  );
  check(
    'no rule about pods',
    rules.split('\n').filter((line) => line.includes('10.244.')),
  );
};

const [picture] = process.argv.slice(2);
if (picture === undefined) throw new Error('usage: overlay.ts FILE.svg');
await main(picture).catch((error: Error) => {
  writeErr(`demo: ${error.message}\n`);
  process.exitCode = 1;
});
