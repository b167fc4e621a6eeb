import { CniError, ErrorCode } from '../cni/errors.ts';
import { closeSync, constants, fstatSync, openSync } from './files.ts';
import { checked, libc } from './libc.ts';

/**
 * An open network namespace. The descriptor keeps the namespace alive; it is closed with `close`, or
 * when the process ends.
 */
export class Netns {
  /** As the runtime gave it (CNI_NETNS). */
  readonly path: string;
  readonly fd: number;
  /** Identifies the namespace, whatever path leads to it. */
  readonly inode: number;

  constructor(path: string, fd: number) {
    this.path = path;
    this.fd = fd;
    this.inode = Number(fstatSync(fd).ino);
  }

  /**
   * A path to this very namespace that a child of ours can open, also when `path` is gone meanwhile or
   * has characters that an `ip -batch` line cannot carry.
   */
  get reference(): string {
    return `/proc/${process.pid}/fd/${this.fd}`;
  }

  /**
   * Runs `body` with this thread inside the namespace, then goes back, also when `body` throws. Children
   * started in `body` are inside, and a socket opened in it stays inside. `body` must be synchronous:
   * whatever is awaited would run in the wrong namespace, and a thread born inside would stay inside.
   */
  run<T>(body: () => T): T {
    const outer = current ?? ownNetns().fd;
    enter(this.fd, this.path);
    current = this.fd;
    try {
      const result = body();
      if (result instanceof Promise) throw new Error('Netns.run needs a synchronous body');
      return result;
    } finally {
      enter(outer, 'the network namespace of this process');
      current = outer;
    }
  }

  close(): void {
    closeSync(this.fd);
  }
}

/** Opens CNI_NETNS. Throws CniError 8 when nothing is there or it is no network namespace. */
export const openNetns = (path: string): Netns => {
  const netns = tryOpen(path);
  if (netns instanceof Netns) return netns;
  throw new CniError(ErrorCode.invalidNetns, `CNI_NETNS ${JSON.stringify(path)} ${netns.problem}`, {
    details: 'Give the path of a network namespace, such as /run/netns/NAME or /proc/PID/ns/net.',
    cause: netns.cause,
  });
};

/**
 * As `openNetns`, for verbs that must work on what is left of a container: undefined when `path` is
 * empty, leads nowhere, or to a file that is no network namespace (any more: unmounting one leaves an
 * empty file). Other failures, such as too many open files, are thrown as CniError 8.
 */
export const openNetnsIfPresent = (path: string): Netns | undefined => {
  const netns = tryOpen(path);
  if (netns instanceof Netns) return netns;
  if (netns.gone) return undefined;
  throw new CniError(ErrorCode.invalidNetns, `CNI_NETNS ${JSON.stringify(path)} ${netns.problem}`, {
    cause: netns.cause,
  });
};

/** Whether this is the namespace that our process itself runs in: the host's, for a plugin. */
export const isOwnNetns = (netns: Netns): boolean => netns.inode === ownNetns().inode;

const CLONE_NEWNET = 0x40000000;
const NS_GET_NSTYPE = 0xb703;
const NSFS_MAGIC = 0x6e736673;
const STATFS_SIZE = 120;

// A namespace belongs to a thread, hence not /proc/self.
const OWN_NETNS = '/proc/thread-self/ns/net';

/** The namespace this thread was in at first, to which `run` returns. */
let own: Netns | undefined;

/** The descriptor of the namespace this thread is in now, once it has been in another. */
let current: number | undefined;

const ownNetns = (): Netns => {
  own ??= new Netns(OWN_NETNS, openSync(OWN_NETNS, constants.O_RDONLY));
  return own;
};

const enter = (fd: number, name: string): void => {
  checked(libc().setns(fd, CLONE_NEWNET), `entering ${name}`);
};

interface Refusal {
  problem: string;
  /** Nothing usable is there, as opposed to a failure to find out. */
  gone: boolean;
  cause?: unknown;
}

const GONE = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG', 'ESRCH', 'ENXIO']);

const tryOpen = (path: string): Netns | Refusal => {
  if (path === '') return { problem: 'is empty', gone: true };
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY);
  } catch (cause) {
    const code = String((cause as { code?: unknown }).code);
    const problem = code === 'ENOENT' ? 'does not exist' : `cannot be opened (${code})`;
    return { problem, gone: GONE.has(code) || path.includes('\0'), cause };
  }
  if (isNetns(fd)) return new Netns(path, fd);
  closeSync(fd);
  return { problem: 'is not a network namespace', gone: true };
};

const isNetns = (fd: number): boolean => {
  const statfs = new BigInt64Array(STATFS_SIZE / 8);
  checked(libc().fstatfs(fd, statfs), 'fstatfs');
  if (statfs[0] !== BigInt(NSFS_MAGIC)) return false;
  return libc().ioctl(fd, NS_GET_NSTYPE, null) === CLONE_NEWNET;
};
