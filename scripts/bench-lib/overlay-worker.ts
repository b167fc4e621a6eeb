// One life of a node in a cluster, inside a host of its own: argv is the number of peers and how often the rest is
// repeated; what was measured goes to stdout as JSON.
import { runCommand } from '../../shared/kernel/command.ts';
import { sortOutOverlayNodes } from '../../shared/overlay/nodes.ts';
import { OverlaySyncer } from '../../shared/overlay/syncer.ts';
import { type OverlayNode, type OverlaySync, overlayDefaults } from '../../shared/overlay/types.ts';
import { clusterOf, ownNode, peerAddress, underlayAddress } from './overlay-cluster.ts';
import type { SyncTimes } from './overlay-sync.ts';

const [peers = 1000, repeats = 5] = process.argv.slice(2).map(Number);
const settings = { ...overlayDefaults, underlay: undefined, mtu: undefined };

const prepare = (): void => {
  const lines = [
    'link add eth0 type veth peer name wire',
    `address add ${underlayAddress} dev eth0`,
    'link set wire up',
    'link set eth0 up',
  ];
  const { exitCode, stderr } = runCommand('ip', ['-batch', '-'], { stdin: `${lines.join('\n')}\n` });
  if (exitCode !== 0) throw new Error(stderr);
};

const timed = async (expected: string, body: () => Promise<OverlaySync>): Promise<number> => {
  const started = performance.now();
  const { changes, skipped } = await body();
  const ms = performance.now() - started;
  const text = `${changes.added} added, ${changes.replaced} replaced, ${changes.removed} removed, ${skipped.length} skipped`;
  if (text !== expected) throw new Error(`the sync did not do what was measured: ${text}, not ${expected}`);
  return ms;
};

const measure = async (): Promise<SyncTimes> => {
  const syncer = new OverlaySyncer();
  const cluster = clusterOf(peers);
  const all = () => syncer.syncAll(ownNode, cluster, settings);
  const first = await timed(`${peers * 5} added, 0 replaced, 0 removed, 0 skipped`, all);
  const times: SyncTimes = { first, unchanged: [], changed: [] };
  for (let round = 1; round <= repeats; round += 1) {
    times.unchanged.push(await timed('0 added, 0 replaced, 0 removed, 0 skipped', all));
  }
  for (let round = 1; round <= repeats * 2; round += 1) {
    const text = JSON.stringify(moved(cluster, round));
    // As it comes out of a registry: a text with all nodes, of which one has changed.
    times.changed.push(
      await timed('0 added, 1 replaced, 0 removed, 0 skipped', () =>
        syncer.syncChange(ownNode, sortOutOverlayNodes(JSON.parse(text), 'nodes').nodes, settings),
      ),
    );
  }
  return times;
};

/** The cluster with one peer at another address. */
const moved = (cluster: readonly OverlayNode[], generation: number): OverlayNode[] =>
  cluster.map((node) =>
    node.name === 'node-7' ? { ...node, addresses: [peerAddress(7, generation)] } : node,
  );

prepare();
console.log(JSON.stringify(await measure()));
