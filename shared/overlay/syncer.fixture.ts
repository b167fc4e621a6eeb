// One host's life as a node, in network and mount namespaces of its own; prints what came of it as JSON. It has
// a device eth0 with the address 198.51.100.1.
import { statSync } from 'node:fs';
import { runCommand } from '../kernel/command.ts';
import { isApplied } from './apply.ts';
import { checkVtep } from './check.ts';
import { readNodeState, readPeers } from './node-state.ts';
import { planOverlay } from './plan.ts';
import { removeOverlay } from './remove.ts';
import { syncOverlay } from './sync.ts';
import { OverlaySyncer } from './syncer.ts';
import { type OverlayNode, overlayDefaults } from './types.ts';
import { detectUnderlay } from './underlay.ts';

const node = (n: number, changes: Partial<OverlayNode> = {}): OverlayNode => ({
  name: `n${n}`,
  addresses: [`198.51.100.${n}`],
  podCIDRs: [`10.244.${n}.0/24`, `fd00:244:${n}::/64`],
  ...changes,
});
const settings = { ...overlayDefaults, underlay: undefined, mtu: undefined };
const own = node(1);
const syncer = new OverlaySyncer();
const ip = (line: string): string => runCommand('ip', line.split(' ')).stderr;

/** Whether the kernel has what a plan made anew asks for, where `known` is not to be had. */
const isInForce = (nodes: OverlayNode[]): boolean => {
  const underlay = detectUnderlay(own, settings);
  return isApplied(planOverlay(own, nodes, settings, underlay), underlay);
};
const fileIds = () => ['node', 'peers'].map((name) => statSync(`/run/podwire/overlay/1/${name}.json`).ino);

const scenes = {
  'the first sync': async () => {
    const { state, peers, skipped, changes } = await syncer.syncAll(own, [own, node(2), node(3)], settings);
    return { changes, skipped, files: Bun.deepEquals([readNodeState(1), readPeers(1)], [state, peers]) };
  },
  'nothing changed': async () => {
    const before = fileIds();
    const { changes } = await syncOverlay(own, [node(3), own, node(2)], settings);
    return { changes, sameFiles: Bun.deepEquals(before, fileIds()) };
  },
  'a peer moved, one came, one left': async () => {
    const nodes = [own, node(2, { addresses: ['198.51.100.22'] }), node(4)];
    const { changes } = await syncer.syncChange(own, nodes, settings);
    return {
      changes,
      inForce: isInForce(nodes),
      peers: readPeers(1).map(({ name, address }) => [name, address]),
    };
  },
  'two swapped their ranges': async () => {
    const nodes = [
      own,
      node(2, { addresses: ['198.51.100.22'], podCIDRs: node(4).podCIDRs }),
      node(4, { podCIDRs: node(2).podCIDRs }),
    ];
    const { changes } = await syncer.syncChange(own, nodes, settings);
    return { changes, inForce: isInForce(nodes) };
  },
  'a peer with our range came, and went': async () => {
    const rest = [own, node(2), node(4)];
    const { skipped } = await syncer.syncChange(
      own,
      [...rest, node(5, { podCIDRs: own.podCIDRs })],
      settings,
    );
    const after = await syncer.syncChange(own, rest, settings);
    return { skipped, after: after.skipped, inForce: isInForce(rest) };
  },
  'somebody took what a change needs': async () => {
    const errors = ip('route add 10.244.6.0/24 dev eth0');
    const nodes = [own, node(2), node(4), node(6)];
    const { skipped } = await syncer.syncChange(own, nodes, settings);
    const again = await syncer.syncChange(own, [...nodes, node(7)], settings);
    ip('route del 10.244.6.0/24 dev eth0');
    const after = await syncer.syncAll(own, [...nodes, node(7)], settings);
    return { errors, skipped, again: again.skipped, peers: again.peers.length, after: after.skipped };
  },
  'the VTEP was deleted before a change': async () => {
    ip('link del pwvxlan1');
    const nodes = [own, node(2)];
    const { changes } = await syncer.syncChange(own, nodes, settings);
    return { vtep: changes.vtep, inForce: isInForce(nodes) };
  },
  'four syncs at once': async () => {
    ip('link del pwvxlan1');
    const all = [own, node(2), node(3)];
    const syncs = await Promise.all([1, 2, 3, 4].map(() => syncOverlay(own, all, settings)));
    return { made: syncs.filter(({ changes }) => changes.vtep).length, inForce: isInForce(all) };
  },
  'a check': () => {
    const state = readNodeState(1);
    if (state === undefined) return 'no state';
    const before = checkVtep(state);
    ip('link set pwvxlan1 down mtu 1400');
    return { before, after: checkVtep(state) };
  },
  removal: async () => {
    await removeOverlay(1);
    await removeOverlay(1);
    const left = runCommand('ip', ['route', 'show', 'table', 'all', 'proto', '112']).stdout;
    return { left, state: readNodeState(1) ?? 'none', peers: readPeers(1), link: ip('link show pwvxlan1') };
  },
};

const results: Record<string, unknown> = {};
for (const [name, scene] of Object.entries(scenes)) results[name] = await scene();
console.log(JSON.stringify(results));
