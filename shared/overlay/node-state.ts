import { readFileSync, unlinkSync } from '../kernel/files.ts';
import { failedWith, ioFailure } from '../store/io-failure.ts';
import { unfinished, writeWhole } from '../store/whole-file.ts';
import type { NodeState, PeerState } from './types.ts';

/** What the last sync of an overlay left; undefined when there was none. Throws CniError 5. */
export const readNodeState = (vni: number): NodeState | undefined => {
  const state = readJson(stateFiles(vni).node) as Partial<NodeState> | undefined;
  return state?.version === 1 ? (state as NodeState) : undefined;
};

/** How the peers are reached, as the last sync left it; none when there was none. Throws CniError 5. */
export const readPeers = (vni: number): PeerState[] => {
  const peers = readJson(stateFiles(vni).peers);
  return Array.isArray(peers) ? peers : [];
};

/**
 * Writes both files, each only if it says something new; `node.json` last, as it says that all is ready.
 * Throws CniError 5.
 */
export const writeOverlayState = (state: NodeState, peers: readonly PeerState[]): void => {
  const files = stateFiles(state.vni);
  writeIfNew(files.peers, `[\n${peers.map(lineOf).join(',\n')}\n]\n`);
  writeIfNew(files.node, `${JSON.stringify(state)}\n`);
};

/** Removes both; nothing happens when they are gone. Throws CniError 5. */
export const removeOverlayState = (vni: number): void => {
  const { node, peers } = stateFiles(vni);
  for (const file of [node, peers].flatMap((path) => [path, unfinished(path)])) {
    try {
      unlinkSync(file);
    } catch (error) {
      if (!failedWith(error, 'ENOENT')) throw ioFailure(`remove ${file}`, error);
    }
  }
};

/** A lock that is held while the overlay is changed. */
export const overlayLock = (vni: number): string => `/run/podwire/locks/overlay-${vni}`;

const stateFiles = (vni: number): { node: string; peers: string } => {
  const directory = `/run/podwire/overlay/${vni}`;
  return { node: `${directory}/node.json`, peers: `${directory}/peers.json` };
};

const readText = (file: string): string | undefined => {
  try {
    return readFileSync(file);
  } catch (error) {
    if (failedWith(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw ioFailure(`read ${file}`, error);
  }
};

const readJson = (file: string): unknown => {
  const text = readText(file);
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    // Somebody else wrote it: the next sync writes it anew.
    return undefined;
  }
};

/** Peers that did not change are the same objects from one sync to the next. */
const lines = new WeakMap<PeerState, string>();

const lineOf = (peer: PeerState): string => {
  let line = lines.get(peer);
  if (line === undefined) {
    line = JSON.stringify(peer);
    lines.set(peer, line);
  }
  return line;
};

const writeIfNew = (file: string, text: string): void => {
  if (readText(file) === text) return;
  try {
    writeWhole(file, text);
  } catch (error) {
    throw ioFailure(`write ${file}`, error);
  }
};
