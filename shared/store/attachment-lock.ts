import type { Attachment } from '../cni/plugin.ts';
import type { Owner } from '../filter/owner.ts';
import { giveToTools } from '../kernel/command.ts';
import { closeSync, constants, dirname, fstatSync, mkdirSync, openSync } from '../kernel/files.ts';
import { SystemError } from '../kernel/libc.ts';
import { type ByteRange, rangeHolder, tryLockRange, unlockAll } from '../kernel/range-lock.ts';
import { type LockDescription, type LockOptions, pollForLock } from './lock.ts';

/** Of this file each attachment has one byte: nothing is left of it when the attachment goes. */
const lockFile = '/run/podwire/locks/attachments';

/**
 * Runs `body` while nothing else changes this attachment. Our tools (`ip`, `nft`, `iptables-restore`)
 * inherit the lock: one that has its orders carries them out when its caller is killed, and the next call
 * must not come before that. A call that ends, whatever its end, gives the lock up for its tools, too: what
 * they still do then, if anything, is to sit out the kernel's grace period. Throws CniError 11 at the
 * deadline, and what `body` and the checkpoint throw.
 *
 * Where the file can't be made (a full or read-only /run), `body` runs without: a plugin that keeps no
 * record needs no disk for it, and DEL must work on a full one.
 */
export const withAttachment = <T>(
  owner: Owner,
  body: () => T | Promise<T>,
  options: Options = {},
): Promise<T> => withRanges([rangeOf(owner)], body, options);

/**
 * The same for all attachments of a network but the valid ones: GC looks at whatever there is, and so must
 * come after the tools of every call that was killed, with a record or without.
 */
export const withOtherAttachments = <T>(
  network: string,
  valid: readonly Attachment[],
  body: () => T | Promise<T>,
  options: Options = {},
): Promise<T> => withRanges(rangesBeside(network, valid), body, options);

/**
 * Runs `body` with those of the attachments on which no call is at work, while nothing else changes them;
 * it does not wait for the others.
 */
export const withIdleAttachments = async <O extends Owner, T>(
  owners: readonly O[],
  body: (idle: O[]) => T | Promise<T>,
  { file = lockFile }: { file?: string } = {},
): Promise<T> => {
  const fd = openIfPossible(file);
  if (fd === undefined) return body([...owners]);
  return holding(fd, () => {
    const idle = owners.filter((owner) => tryLockRange(fd, rangeOf(owner)));
    giveToTools(fd);
    return body(idle);
  });
};

interface Options extends LockOptions {
  file?: string;
}

const withRanges = async <T>(
  ranges: ByteRange[],
  body: () => T | Promise<T>,
  { file = lockFile, ...options }: Options,
): Promise<T> => {
  const fd = openIfPossible(file);
  if (fd === undefined) return body();
  return holding(fd, async () => {
    // In ascending order, so that two that want several never wait for each other.
    for (const range of ranges) {
      if (tryLockRange(fd, range)) continue;
      await pollForLock(() => tryLockRange(fd, range), describe(fd, range), options);
    }
    giveToTools(fd);
    return body();
  });
};

/** Runs `body`, which takes locks for `fd`; afterwards they are given up, also by the tools that have them. */
const holding = async <T>(fd: number, body: () => T | Promise<T>): Promise<T> => {
  try {
    return await body();
  } finally {
    giveToTools(undefined);
    unlockAll(fd);
    closeSync(fd);
  }
};

const openIfPossible = (file: string): number | undefined => {
  const open = () => openSync(file, constants.O_RDWR | constants.O_CREAT, 0o600);
  try {
    return open();
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
  }
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
    return open();
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
};

/** The page is of the network's hash, the byte in it of the attachment's: a network's attachments are neighbours. */
const rangeOf = ({ network, containerId, ifname }: Owner): ByteRange => {
  const byte = Bun.hash.xxHash32(`${containerId}\n${ifname}`);
  return { page: pageOf(network), first: byte, last: byte };
};

const rangesBeside = (network: string, valid: readonly Attachment[]): ByteRange[] => {
  const page = pageOf(network);
  const kept = valid
    .map(({ containerID, ifname }) => rangeOf({ network, containerId: containerID, ifname }).first)
    .sort((a, b) => a - b);
  const ranges: ByteRange[] = [];
  let next = 0;
  for (const byte of kept) {
    if (byte > next) ranges.push({ page, first: next, last: byte - 1 });
    next = byte + 1;
  }
  if (next <= LAST_OF_PAGE) ranges.push({ page, first: next, last: LAST_OF_PAGE });
  return ranges;
};

const pageOf = (network: string): number => Bun.hash.xxHash32(network) >>> 1;

const LAST_OF_PAGE = 0xffff_ffff;

/** What a tool has the lock as (`giveToTools`). */
const TOOLS_FD = 4;

const describe = (fd: number, range: ByteRange): LockDescription => ({
  what: `the attachment, on which another call is at work (lock ${lockFile}),`,
  holder: () => {
    const tool = rangeHolder(fstatSync(fd).ino, range, TOOLS_FD);
    return tool && `Process ${tool.pid} (${tool.name}), which that call started, is still running.`;
  },
});
