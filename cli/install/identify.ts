import { closeSync, lstatSync, openSync, readlinkSync, readSync, type Stats } from 'node:fs';
import { failedWith, ioFailure } from '../../shared/store/io-failure.ts';

/** Which podwire an executable is. */
export interface Build {
  version: string;
  buildId: string;
}

/** What stands under a name. */
export type Identity =
  | { kind: 'absent' }
  | { kind: 'ours'; build: Build; inode: string }
  | { kind: 'foreign'; what: string }
  /** Nothing that could be put aside and given back: a directory, a device. */
  | { kind: 'immovable'; what: string };

/**
 * Says whose files are by what is in them: every executable of ours bears the build's mark, whoever copied it
 * there. Nothing is executed. A file that has many names is read once.
 */
export class Identifier {
  readonly #builds = new Map<string, Build | undefined>();

  /** Throws CniError 5 when it can't be read. */
  identify(path: string): Identity {
    try {
      const stats = lstatSync(path);
      if (stats.isSymbolicLink()) return { kind: 'foreign', what: `symbolic link to ${readlinkSync(path)}` };
      if (!stats.isFile())
        return { kind: 'immovable', what: stats.isDirectory() ? 'directory' : 'special file' };
      const inode = inodeOf(stats);
      if (!this.#builds.has(inode)) this.#builds.set(inode, readMark(path, stats.size));
      const build = this.#builds.get(inode);
      return build === undefined ? { kind: 'foreign', what: 'file' } : { kind: 'ours', build, inode };
    } catch (error) {
      if (failedWith(error, 'ENOENT', 'ENOTDIR')) return { kind: 'absent' };
      throw ioFailure(`read ${path}`, error);
    }
  }
}

export const inodeOf = ({ dev, ino }: Stats): string => `${dev}:${ino}`;

/** The build of an executable of ours; undefined for any other file. */
export const readMark = (path: string, size: number): Build | undefined => {
  const fd = openSync(path, 'r');
  try {
    // What bun appends to its runtime is near the end; the parts overlap by what a mark may be long.
    const part = Buffer.allocUnsafe(PART_BYTES);
    for (let end = size; end > 0; end -= PART_BYTES - LONGEST_MARK) {
      const start = Math.max(0, end - PART_BYTES);
      const length = readSync(fd, part, 0, end - start, start);
      const build = findMark(part.subarray(0, length));
      if (build !== undefined) return build;
      if (start === 0) break;
    }
    return undefined;
  } finally {
    closeSync(fd);
  }
};

/** The first whole mark in some bytes. */
export const findMark = (bytes: Buffer): Build | undefined => {
  for (let at = bytes.indexOf(MARK); at >= 0; at = bytes.indexOf(MARK, at + 1)) {
    const text = bytes.toString('latin1', at + MARK.length, at + LONGEST_MARK);
    const [, version, buildId] = /^([0-9A-Za-z.+-]{1,64})\/([0-9A-Za-z.+-]{1,128})\//.exec(text) ?? [];
    if (version !== undefined && buildId !== undefined) return { version, buildId };
  }
  return undefined;
};

/** See shared/cni/build-mark.ts. */
const MARK = 'podwire-executable/';
const LONGEST_MARK = 256;
const PART_BYTES = 4 << 20;
