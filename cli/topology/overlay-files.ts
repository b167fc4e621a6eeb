import { readdirSync } from 'node:fs';
import { readNodeState, readPeers } from '../../shared/overlay/node-state.ts';
import type { NodeState, PeerState } from '../../shared/overlay/types.ts';
import { failedWith, ioFailure } from '../../shared/store/io-failure.ts';

const directory = '/run/podwire/overlay';

/** What the last sync of each of the node's overlays left, by VNI. Throws CniError 5. */
export const listOverlays = (): { node: NodeState; peers: PeerState[] }[] =>
  vnis().flatMap((vni) => {
    const node = readNodeState(vni);
    // One that was removed, or has not been ready yet, has a directory only.
    return node === undefined ? [] : [{ node, peers: readPeers(vni) }];
  });

const vnis = (): number[] => {
  try {
    return readdirSync(directory)
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .sort((a, b) => a - b);
  } catch (error) {
    if (failedWith(error, 'ENOENT', 'ENOTDIR')) return [];
    throw ioFailure(`read ${directory}`, error);
  }
};
