// Throughput between pods of two nodes, by our sync and by the same kernel objects set by hand as flannel sets them.
// Both take turns on the same two hosts, made anew for each run: two pairs of hosts differ more than the sides do. Runs inside a host of its own; what was measured goes to
// stdout as JSON: bits/s of each run. argv: rounds, and seconds of each run.
import { BridgeBatch, runBridgeBatch } from '../../shared/kernel/bridge-batch.ts';
import { startCommand } from '../../shared/kernel/running-command.ts';
import { writeSysctl } from '../../shared/kernel/sysctl.ts';
import { ip } from '../../shared/kernel/test-netns.ts';
import { removeFromKernel } from '../../shared/overlay/remove.ts';
import { createHosts, reaches, sync, type TestHost } from '../../shared/overlay/test-hosts.ts';
import { vtepMac } from '../../shared/overlay/vtep.ts';

/** Bits/s of each run. */
export interface Throughputs {
  ours: number[];
  byHand: number[];
}

const [rounds = 8, seconds = 3] = process.argv.slice(2).map(Number);

type Pair = [TestHost, TestHost];

const setByUs = (pair: Pair): void => {
  for (const host of pair)
    sync(
      host,
      pair.map(({ node }) => node),
    );
};

const takeOurs = (pair: Pair): void => {
  for (const { host } of pair) host.run(() => removeFromKernel('pwvxlan1'));
};

const takeByHand = (pair: Pair): void => {
  for (const { host } of pair) ip(host, 'link del flannel.1');
};

/** flannel's VXLAN device is bound to the underlay's, and so knows its header and MTU. */
const setByHand = (pair: Pair): void => {
  for (const [index, { host }] of pair.entries()) {
    const [own, other] = [index + 1, 2 - index];
    const [mac, otherMac] = [vtepMac(`node-${own}`), vtepMac(`node-${other}`)];
    ip(
      host,
      `link add flannel.1 address ${mac} mtu 1450 type vxlan id 1 dev eth0 local 198.51.100.${own} dstport 8472 nolearning`,
      'link set flannel.1 up',
      `address add 10.244.${own}.0/32 dev flannel.1`,
      `neigh replace 10.244.${other}.0 lladdr ${otherMac} dev flannel.1 nud permanent`,
      `route replace 10.244.${other}.0/24 via 10.244.${other}.0 dev flannel.1 onlink`,
    );
    const fdb = ['fdb', 'replace', otherMac, 'dev', 'flannel.1', 'dst', `198.51.100.${other}`];
    host.run(() => runBridgeBatch(new BridgeBatch().add(...fdb), 'setting an FDB entry'));
    host.run(() => writeSysctl('net/ipv4/ip_forward', '1'));
  }
};

const sides = {
  ours: { set: setByUs, take: takeOurs },
  byHand: { set: setByHand, take: takeByHand },
};

const run = async (pair: Pair, side: keyof typeof sides): Promise<number> => {
  sides[side].set(pair);
  if (!reaches(pair[0].pod, '10.244.2.5')) throw new Error(`${side}: the pods do not reach each other`);
  try {
    return await stream(pair);
  } finally {
    sides[side].take(pair);
  }
};

/** One TCP stream from the first pod to the second; bits/s as the receiver sees them. */
const stream = async ([from, to]: Pair): Promise<number> => {
  const server = to.pod.run(() => startCommand('iperf3', ['-s', '-1', '-J']));
  const deadline = performance.now() + 5000;
  const isListening = (): boolean =>
    to.pod.run(() => Bun.spawnSync(['ss', '-Hltn', 'sport', '=', ':5201']).stdout.length > 0);
  while (!isListening() && performance.now() < deadline) await Bun.sleep(10);
  const args = ['-c', '10.244.2.5', '-t', String(seconds), '-O', '1', '-J'];
  const client = from.pod.run(() => startCommand('iperf3', args, { timeoutMs: 60_000 }));
  const { stdout } = await client.result();
  await server.result();
  const bits = JSON.parse(stdout).end?.sum_received?.bits_per_second;
  if (typeof bits !== 'number') throw new Error(`iperf3: ${stdout.slice(0, 300)}`);
  return bits;
};

const main = async (): Promise<Throughputs> => {
  const [first, second] = await createHosts(2);
  if (first === undefined || second === undefined) throw new Error('two hosts were asked for');
  const results: Throughputs = { ours: [], byHand: [] };
  for (let round = 0; round < rounds; round += 1) {
    // Who goes first alternates, so that neither always follows the other.
    const order = round % 2 === 0 ? (['ours', 'byHand'] as const) : (['byHand', 'ours'] as const);
    for (const side of order) results[side].push(await run([first, second], side));
  }
  return results;
};

console.log(JSON.stringify(await main()));
