import { CniError, ErrorCode } from '../cni/errors.ts';
import { isObject } from '../cni/fields.ts';
import type { JsonObject } from '../cni/types.ts';
import {
  closeSync,
  constants,
  dirname,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFully,
} from '../kernel/files.ts';
import { failedWith, ioFailure } from '../store/io-failure.ts';

/**
 * What a node knows of the datastore for one network, in a file: its blocks, the pools as they were last seen, and its
 * fixed addresses. An ordinary ADD reads this and nothing remote. It is changed under the lock of the network's
 * reservations only, so that no address is given of a block that is just being returned.
 */
export interface NodeState {
  node: string;
  /** Which datastore it is of: of another one it would mean nothing. */
  datastore: string;
  /** When the datastore last said that the blocks are this node's; ms since 1970, 0: never. */
  confirmedAt: number;
  /** No block is claimed ahead before this time, because the last attempt failed; ms since 1970. */
  retryAt: number;
  /** Pools that had no block left when the datastore was last asked, and until when they are taken for full. */
  full: Record<string, number>;
  pools: { name: string; value: JsonObject }[];
  blocks: HeldBlock[];
  /** Fixed and sticky addresses by their text: those of this node's pods, and all that lie in its blocks. */
  fixed: Record<string, FixedNote>;
}

export interface HeldBlock {
  cidr: string;
  pool: string;
}

/** An address that has a record in the datastore, or is to get one. */
export interface FixedNote {
  pool: string;
  key?: string;
  holdSeconds?: number;
  /** It is of one of this node's containers. Not so: the record is another's, and the address is only left alone. */
  isOurs: boolean;
  /** Whether it can be had is not settled: a call that was to find out was killed. */
  isPending?: true;
  /** Since when its container is gone, where the datastore was not told yet. */
  releasedAt?: string;
  /** The container that had it. */
  containerId?: string;
  ifname?: string;
}

/** Where a network's state is: beside the directories of reservations, as no network's name begins with a dot. */
export const stateDirectory = (dataDir: string, network: string): string => `${dataDir}/.nodes/${network}`;

export const emptyState = (node: string, datastore: string): NodeState => ({
  node,
  datastore,
  confirmedAt: 0,
  retryAt: 0,
  full: {},
  pools: [],
  blocks: [],
  fixed: {},
});

/**
 * Reads a state; a new one when there is none, or none that can be understood. Throws CniError 7 when it is of another
 * node or datastore, whose pods may still run, and 5 when the file cannot be read.
 */
export const readState = (directory: string, node: string, datastore: string): NodeState => {
  const file = fileIn(directory);
  const state = parse(file);
  if (state === undefined) return emptyState(node, datastore);
  if (state.node !== node) throw changed(file, `node "${state.node}"`, `node "${node}"`);
  if (state.datastore !== datastore) throw changed(file, state.datastore, datastore);
  return state;
};

/** The state, of whichever node and datastore it is; undefined when there is none. For DEL, which must not fail. */
export const readAnyState = (directory: string): NodeState | undefined => parse(fileIn(directory));

/**
 * Writes a state. Where the one before it must never be read again, it survives a power failure: that one could hold a
 * block that was returned since, or give an address that was fixed for somebody since. What else a state says is found
 * again by the next sync, so that a block is claimed without waiting for the disk. Throws CniError 5.
 */
export const writeState = (directory: string, state: NodeState, before?: NodeState): void => {
  const isDurable = before === undefined || outdates(state, before);
  const file = fileIn(directory);
  const temporary = `${directory}/.state.json`;
  try {
    const fd = openTemporary(temporary);
    try {
      writeFully(fd, `${JSON.stringify(state)}\n`);
      if (isDurable) fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, file);
    if (isDurable) syncDirectory(directory);
  } catch (error) {
    throw ioFailure(`write ${file}`, error);
  }
};

/**
 * Whether a node that went on from `before` could give what is another's: it has a block that `state` has not, or other
 * notes of fixed addresses in a block that both have.
 */
export const outdates = (state: NodeState, before: NodeState): boolean => {
  const blocks = new Set(state.blocks.map(({ cidr }) => cidr));
  if (before.blocks.some(({ cidr }) => !blocks.has(cidr))) return true;
  return JSON.stringify(state.fixed) !== JSON.stringify(before.fixed);
};

const fileIn = (directory: string): string => `${directory}/state.json`;

const openTemporary = (file: string): number => {
  const { O_WRONLY, O_CREAT, O_TRUNC } = constants;
  const open = (): number => openSync(file, O_WRONLY | O_CREAT | O_TRUNC, 0o600);
  try {
    return open();
  } catch (error) {
    if (!failedWith(error, 'ENOENT')) throw error;
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    return open();
  }
};

const syncDirectory = (directory: string): void => {
  const fd = openSync(directory, constants.O_RDONLY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
};

const parse = (file: string): NodeState | undefined => {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file));
  } catch (error) {
    if (failedWith(error, 'ENOENT')) return undefined;
    if (!(error instanceof SyntaxError)) throw ioFailure(`read ${file}`, error);
  }
  if (
    isObject(json) &&
    Array.isArray(json.blocks) &&
    Array.isArray(json.pools) &&
    isObject(json.fixed) &&
    isObject(json.full)
  ) {
    return json as unknown as NodeState;
  }
  // Damaged: as if it were not there, so that the datastore is asked what is this node's.
  return undefined;
};

const changed = (file: string, from: string, to: string): CniError =>
  new CniError(
    ErrorCode.invalidNetworkConfig,
    `invalid configuration: the addresses here are of ${from}, not of ${to}`,
    {
      details: `Correct the configuration; or, once no pod of this network runs here any more, remove ${file}.`,
    },
  );
