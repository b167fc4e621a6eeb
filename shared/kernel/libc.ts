import { dlopen, type Pointer, read } from 'bun:ffi';

/** A failed system call: `errno` as the kernel gave it (positive), `code` its name, such as `EBUSY`. */
export class SystemError extends Error {
  override readonly name = 'SystemError';
  readonly errno: number;
  readonly code: string;

  constructor(errno: number, action: string) {
    const code = errnoName(errno);
    super(`${action}: ${code}`);
    this.errno = errno;
    this.code = code;
  }
}

/**
 * The C library's functions that a plugin call uses. Loaded at the first call, all in one go:
 * loading costs 0.2 ms for one function and hardly more for all. Each returns -1 on failure; then call
 * `errno()` at once. Names, argument types and constants are those of 64-bit Linux on x64 and arm64.
 */
export const libc = () => {
  loaded ??= load();
  return loaded.symbols;
};

/** errno of the last failed `libc()` call of this thread. */
export const errno = (): number => {
  libc();
  return loaded === undefined ? 0 : read.i32(loaded.errnoAddress, 0);
};

/** Returns `result` unless it is negative; then throws the SystemError for `action`. */
export const checked = (result: number, action: string): number => {
  if (result < 0) throw new SystemError(errno(), action);
  return result;
};

// musl's loader answers every name that starts with `libc.` with itself, so this serves both libraries.
const LIBRARY = 'libc.so.6';

// ssize_t results are read as i32: no buffer here comes near 2 GiB, and -1 stays -1.
const open = () =>
  dlopen(LIBRARY, {
    __errno_location: { args: [], returns: 'ptr' },
    access: { args: ['ptr', 'i32'], returns: 'i32' },
    close: { args: ['i32'], returns: 'i32' },
    connect: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
    // Variadic in C, too: the third is an address, or a number where the command wants one.
    fcntl: { args: ['i32', 'i32', 'ptr'], returns: 'i32' },
    flock: { args: ['i32', 'i32'], returns: 'i32' },
    fstatfs: { args: ['i32', 'ptr'], returns: 'i32' },
    ftruncate: { args: ['i32', 'i64'], returns: 'i32' },
    getrandom: { args: ['ptr', 'u64', 'u32'], returns: 'i32' },
    ioctl: { args: ['i32', 'u64', 'ptr'], returns: 'i32' },
    link: { args: ['ptr', 'ptr'], returns: 'i32' },
    mkdir: { args: ['ptr', 'u32'], returns: 'i32' },
    // Variadic in C; integers are passed the same way on both architectures.
    open: { args: ['ptr', 'i32', 'u32'], returns: 'i32' },
    pipe2: { args: ['ptr', 'i32'], returns: 'i32' },
    poll: { args: ['ptr', 'u64', 'i32'], returns: 'i32' },
    posix_spawn: { args: ['ptr', 'ptr', 'ptr', 'ptr', 'ptr', 'ptr'], returns: 'i32' },
    posix_spawn_file_actions_adddup2: { args: ['ptr', 'i32', 'i32'], returns: 'i32' },
    posix_spawn_file_actions_destroy: { args: ['ptr'], returns: 'i32' },
    posix_spawn_file_actions_init: { args: ['ptr'], returns: 'i32' },
    posix_spawnattr_destroy: { args: ['ptr'], returns: 'i32' },
    posix_spawnattr_init: { args: ['ptr'], returns: 'i32' },
    posix_spawnattr_setflags: { args: ['ptr', 'i16'], returns: 'i32' },
    posix_spawnattr_setsigdefault: { args: ['ptr', 'ptr'], returns: 'i32' },
    pread: { args: ['i32', 'ptr', 'u64', 'i64'], returns: 'i32' },
    pwrite: { args: ['i32', 'ptr', 'u64', 'i64'], returns: 'i32' },
    read: { args: ['i32', 'ptr', 'u64'], returns: 'i32' },
    recv: { args: ['i32', 'ptr', 'u64', 'i32'], returns: 'i32' },
    rename: { args: ['ptr', 'ptr'], returns: 'i32' },
    send: { args: ['i32', 'ptr', 'u64', 'i32'], returns: 'i32' },
    sendto: { args: ['i32', 'ptr', 'u64', 'i32', 'ptr', 'u32'], returns: 'i32' },
    setns: { args: ['i32', 'i32'], returns: 'i32' },
    setsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'u32'], returns: 'i32' },
    signal: { args: ['i32', 'u64'], returns: 'u64' },
    socket: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
    statfs: { args: ['ptr', 'ptr'], returns: 'i32' },
    syscall: { args: ['i64', 'i64', 'ptr', 'i64', 'i64', 'ptr'], returns: 'i32' },
    unlink: { args: ['ptr'], returns: 'i32' },
    utimensat: { args: ['i32', 'ptr', 'ptr', 'i32'], returns: 'i32' },
    waitpid: { args: ['i32', 'ptr', 'i32'], returns: 'i32' },
    write: { args: ['i32', 'ptr', 'u64'], returns: 'i32' },
  });

type Symbols = ReturnType<typeof open>['symbols'];

let loaded: { symbols: Symbols; errnoAddress: Pointer } | undefined;

const load = (): { symbols: Symbols; errnoAddress: Pointer } => {
  const { symbols } = open();
  const errnoAddress = symbols.__errno_location();
  return { symbols, errnoAddress: Number(errnoAddress) as Pointer };
};

/** The numbers of the errors that an ordinary call meets; the rest is looked up in `node:os`, which takes 0.2 ms. */
const COMMON_ERRORS: Record<number, string> = {
  1: 'EPERM',
  2: 'ENOENT',
  4: 'EINTR',
  11: 'EAGAIN',
  13: 'EACCES',
  17: 'EEXIST',
  19: 'ENODEV',
  20: 'ENOTDIR',
  28: 'ENOSPC',
  30: 'EROFS',
};

const errnoName = (errno: number): string => {
  const common = COMMON_ERRORS[errno];
  if (common !== undefined) return common;
  for (const [name, value] of Object.entries(process.getBuiltinModule('node:os').constants.errno)) {
    // ENOTSUP is the C library's second name for the kernel's EOPNOTSUPP.
    if (value === errno && name !== 'ENOTSUP') return name;
  }
  return `errno ${errno}`;
};
