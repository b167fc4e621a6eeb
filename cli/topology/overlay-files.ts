import { readdirSync, readFileSync } from 'node:fs';
import type { NodeState, PeerState } from '../../shared/overlay/types.ts';
import { failedWith, ioFailure } from '../../shared/store/io-failure.ts';

const directory = '/run/podwire/overlay';

/** What the last sync of each of the node's overlays left, by VNI. Throws CniError 5. */
export const listOverlays = (root = directory): { node: NodeState; peers: PeerState[] }[] =>
  vnis(root).flatMap((vni) => {
    const node = readJson(`${root}/${vni}/node.json`);
    const peers = readJson(`${root}/${vni}/peers.json`) ?? [];
    // One that was just removed, or is not ready yet.
    return node === undefined ? [] : [{ node: node as NodeState, peers: peers as PeerState[] }];
  });

const vnis = (root: string): number[] => {
  try {
    return readdirSync(root)
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .sort((a, b) => a - b);
  } catch (error) {
    if (failedWith(error, 'ENOENT', 'ENOTDIR')) return [];
    throw ioFailure(`read ${root}`, error);
  }
};

const readJson = (file: string): unknown => {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if (failedWith(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw ioFailure(`read ${file}`, error);
  }
};
