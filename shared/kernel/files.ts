import { checked, errno, libc, SystemError } from './libc.ts';

/**
 * The part of `node:fs` that a plugin call uses, under the same names, by the C library: importing
 * `node:fs` costs a process 1 ms, of some 8 that a whole call takes. Errors are SystemErrors, whose
 * `code` is what node's have. Descriptors are close-on-exec.
 */
export const constants = {
  O_RDONLY: 0,
  O_WRONLY: 1,
  O_RDWR: 2,
  O_CREAT: 0o100,
  O_EXCL: 0o200,
  O_TRUNC: 0o1000,
  O_APPEND: 0o2000,
  O_NONBLOCK: 0o4000,
  F_OK: 0,
  X_OK: 1,
  W_OK: 2,
  R_OK: 4,
} as const;

/**
 * Opens a file; `mode` counts where O_CREAT makes it, less the umask. A FIFO in a file's place holds nobody
 * up: read, it is empty; written, ENXIO.
 */
export const openSync = (path: string, flags: number, mode = 0o666): number =>
  restarted(() => libc().open(cString(path), flags | O_CLOEXEC | constants.O_NONBLOCK, mode), `open ${path}`);

export const closeSync = (fd: number): void => {
  libc().close(fd);
};

/** Reads up to the buffer's length; 0 at the end. */
export const readSync = (fd: number, buffer: Uint8Array): number =>
  restarted(() => libc().read(fd, buffer, BigInt(buffer.length)), 'read');

/** Writes what the file takes at once, and returns how much that was. */
export const writeSync = (fd: number, bytes: Uint8Array): number =>
  bytes.length === 0 ? 0 : restarted(() => libc().write(fd, bytes, BigInt(bytes.length)), 'write');

/** Reads from `position` on, which the descriptor's own position does not follow; 0 at the end. */
export const readAtSync = (fd: number, buffer: Uint8Array, position: number): number =>
  restarted(() => libc().pread(fd, buffer, BigInt(buffer.length), BigInt(position)), 'pread');

/** Writes at `position`, and returns how much the file took. */
export const writeAtSync = (fd: number, bytes: Uint8Array, position: number): number =>
  restarted(() => libc().pwrite(fd, bytes, BigInt(bytes.length), BigInt(position)), 'pwrite');

/** The whole file as text. */
export const readFileSync = (path: string): string => {
  const fd = openSync(path, constants.O_RDONLY);
  try {
    return readOpenFile(fd);
  } finally {
    closeSync(fd);
  }
};

/** The rest of an open file as text. One read serves the small files this is for, and /proc, whose have no size. */
export const readOpenFile = (fd: number): string => {
  let buffer = new Uint8Array(4096);
  let length = 0;
  for (;;) {
    const count = readSync(fd, buffer.subarray(length));
    if (count === 0) return decoder.decode(buffer.subarray(0, length));
    length += count;
    if (length < buffer.length) continue;
    const larger = new Uint8Array(buffer.length * 4);
    larger.set(buffer);
    buffer = larger;
  }
};

/** Writes the whole file, replacing what it held; with `exclusive`, EEXIST when it is there. */
export const writeFileSync = (
  path: string,
  data: string | Uint8Array,
  { mode = 0o666, exclusive = false }: { mode?: number; exclusive?: boolean } = {},
): void => {
  const { O_WRONLY, O_CREAT, O_EXCL, O_TRUNC } = constants;
  const fd = openSync(path, O_WRONLY | O_CREAT | (exclusive ? O_EXCL : O_TRUNC), mode);
  try {
    writeFully(fd, data);
  } finally {
    closeSync(fd);
  }
};

/** Writes all of `data`, in as many steps as it takes. */
export const writeFully = (fd: number, data: string | Uint8Array): void => {
  let rest = typeof data === 'string' ? encoder.encode(data) : data;
  while (rest.length > 0) rest = rest.subarray(writeSync(fd, rest));
};

export const ftruncateSync = (fd: number, length: number): void => {
  restarted(() => libc().ftruncate(fd, BigInt(length)), 'ftruncate');
};

/** Waits until a file, or the names in a directory, are on the disk. */
export const fsyncSync = (fd: number): void => {
  restarted(() => Number(libc().syscall(BigInt(SYS_fsync), BigInt(fd), null, 0n, 0n, null)), 'fsync');
};

export const unlinkSync = (path: string): void => {
  checked(libc().unlink(cString(path)), `unlink ${path}`);
};

export const renameSync = (from: string, to: string): void => {
  checked(libc().rename(cString(from), cString(to)), `rename ${from} to ${to}`);
};

/** A second name for a file; EEXIST when `to` is taken. */
export const linkSync = (from: string, to: string): void => {
  checked(libc().link(cString(from), cString(to)), `link ${from} to ${to}`);
};

/** Makes a directory; with `recursive` also those above it, and one that exists is fine. */
export const mkdirSync = (
  path: string,
  { recursive = false, mode = 0o777 }: { recursive?: boolean; mode?: number } = {},
): void => {
  if (libc().mkdir(cString(path), mode) === 0) return;
  let reason = new SystemError(errno(), `mkdir ${path}`);
  const parent = dirname(path);
  if (recursive && reason.code === 'ENOENT' && parent !== path) {
    mkdirSync(parent, { recursive, mode });
    if (libc().mkdir(cString(path), mode) === 0) return;
    reason = new SystemError(errno(), `mkdir ${path}`);
  }
  if (recursive && reason.code === 'EEXIST' && statSync(path).isDirectory) return;
  throw reason;
};

/** Whether the process may use the file so (`constants.R_OK`, …). */
export const isAccessible = (path: string, mode: number): boolean => libc().access(cString(path), mode) === 0;

/** Throws the system's error (EACCES, EROFS, …) unless the process may use the file so. */
export const accessSync = (path: string, mode: number): void => {
  checked(libc().access(cString(path), mode), `access ${path}`);
};

export const existsSync = (path: string): boolean => isAccessible(path, constants.F_OK);

/** Sets the times of last access and modification, in nanoseconds since 1970. */
export const utimesSync = (path: string, atimeNs: bigint, mtimeNs: bigint): void => {
  const times = BigInt64Array.of(
    atimeNs / NS_PER_SECOND,
    atimeNs % NS_PER_SECOND,
    mtimeNs / NS_PER_SECOND,
    mtimeNs % NS_PER_SECOND,
  );
  checked(libc().utimensat(AT_FDCWD, cString(path), times, 0), `utimensat ${path}`);
};

/** The type of the file system that holds `path`, as statfs(2) gives it. */
export const fileSystemType = (path: string): number => {
  const statfs = new BigInt64Array(STATFS_BYTES / 8);
  checked(libc().statfs(cString(path), statfs), `statfs ${path}`);
  return Number(statfs[0]);
};

/** The names in a directory. This one is off the hot path and left to `node:fs`, loaded here. */
export const readdirSync = (path: string): string[] => process.getBuiltinModule('node:fs').readdirSync(path);

export interface FileStatus {
  /** Device and inode together name a file for good. */
  dev: string;
  ino: bigint;
  size: number;
  isFile: boolean;
  isDirectory: boolean;
  /** Nanoseconds since 1970. */
  mtimeNs: bigint;
  ctimeNs: bigint;
}

export const statSync = (path: string): FileStatus => statx(AT_FDCWD, path, 0, `stat ${path}`);

export const fstatSync = (fd: number): FileStatus => statx(fd, '', AT_EMPTY_PATH, 'fstat');

/** The chunks as one; without `Buffer`, whose first use costs 0.1 ms and 0.8 MB. */
export const joinBytes = (chunks: readonly Uint8Array[]): Uint8Array => {
  const [first, ...others] = chunks;
  if (first !== undefined && others.length === 0) return first;
  const joined = new Uint8Array(chunks.reduce((length, chunk) => length + chunk.length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    joined.set(chunk, offset);
    offset += chunk.length;
  }
  return joined;
};

/** `a/b` of `a/b/c`, `/` of `/a`. */
export const dirname = (path: string): string => path.slice(0, Math.max(1, path.lastIndexOf('/')));

const NS_PER_SECOND = 1_000_000_000n;
const STATFS_BYTES = 120;
const O_CLOEXEC = 0o2000000;
const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_STATS = 0x7ff;
const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;

/** statx(2) by number: glibc has the function from 2.28 only, and musl later still. */
const SYS_statx = process.arch === 'arm64' ? 291 : 332;

/** By number, too: a function more in `libc` would cost every call that does not use it. */
const SYS_fsync = process.arch === 'arm64' ? 82 : 74;

const statx = (fd: number, path: string, flags: number, action: string): FileStatus => {
  const buffer = new BigUint64Array(32);
  checked(
    libc().syscall(
      BigInt(SYS_statx),
      BigInt(fd),
      cString(path),
      BigInt(flags),
      BigInt(STATX_BASIC_STATS),
      buffer,
    ),
    action,
  );
  const view = new DataView(buffer.buffer);
  const type = view.getUint16(28, true) & S_IFMT;
  const nanoseconds = (offset: number): bigint =>
    view.getBigInt64(offset, true) * NS_PER_SECOND + BigInt(view.getUint32(offset + 8, true));
  return {
    dev: `${view.getUint32(136, true)}:${view.getUint32(140, true)}`,
    ino: view.getBigUint64(32, true),
    size: Number(view.getBigUint64(40, true)),
    isFile: type === S_IFREG,
    isDirectory: type === S_IFDIR,
    ctimeNs: nanoseconds(96),
    mtimeNs: nanoseconds(112),
  };
};

const EINTR = 4;
const EINVAL = 22;

/** Calls again what a signal interrupted. */
const restarted = (call: () => number, action: string): number => {
  for (;;) {
    const result = call();
    if (result >= 0) return result;
    const reason = errno();
    if (reason !== EINTR) throw new SystemError(reason, action);
  }
};

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const cString = (text: string): Uint8Array => {
  if (text.includes('\0')) throw new SystemError(EINVAL, `a path with a NUL byte: ${JSON.stringify(text)}`);
  return encoder.encode(`${text}\0`);
};
