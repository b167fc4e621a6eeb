import { type Pointer, ptr } from 'bun:ffi';
import { closeSync } from './files.ts';
import { checked, libc, SystemError } from './libc.ts';

export interface Spawned {
  pid: number;
  /** Our ends of the pipes to its standard descriptors. */
  stdin: number;
  stdout: number;
  stderr: number;
}

/** Descriptors of ours that a child gets as its numbers 3 and 4. */
export type Inherited = readonly [third: number | undefined, fourth: number | undefined];

/**
 * posix_spawn(3) with pipes as standard descriptors, in a session of its own and with the default action
 * for the signals that bun ignores. The descriptors `inherit` become its numbers 3 and 4, as far as they are
 * given. Returns the SystemError when the program can't be started. Bun and `files.ts` open everything
 * close-on-exec: nothing else is inherited.
 */
export const spawn = (
  argv: string[],
  env: Record<string, string | undefined>,
  inherit: Inherited,
): Spawned | SystemError => {
  const [stdin, stdout, stderr] = [makePipe(), makePipe(), makePipe()];
  const given = inherit.map((fd) => fd && aboveStandard(fd));
  const pid = start(argv, env, [stdin.read, stdout.write, stderr.write, ...given]);
  for (const fd of [stdin.read, stdout.write, stderr.write]) closeSync(fd);
  for (const [index, fd] of given.entries()) if (fd !== undefined && fd !== inherit[index]) closeSync(fd);
  if (typeof pid === 'number') return { pid, stdin: stdin.write, stdout: stdout.read, stderr: stderr.read };
  for (const fd of [stdin.write, stdout.read, stderr.read]) closeSync(fd);
  return pid;
};

const start = (
  argv: string[],
  env: Record<string, string | undefined>,
  fds: (number | undefined)[],
): number | SystemError => {
  const { symbols, actions, attributes } = prepare(fds);
  const variables = Object.entries(env).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${value}`],
  );
  const path = cStrings([argv[0] ?? '']);
  const [words, environment] = [cStrings(argv), cStrings(variables)];
  const pid = new Int32Array(1);
  const error = symbols.posix_spawn(
    pid,
    path.bytes,
    actions,
    attributes,
    words.pointers,
    environment.pointers,
  );
  symbols.posix_spawn_file_actions_destroy(actions);
  symbols.posix_spawnattr_destroy(attributes);
  return error === 0 ? (pid[0] ?? 0) : new SystemError(error, `starting ${argv[0]}`);
};

const prepare = (fds: (number | undefined)[]) => {
  const symbols = libc();
  const actions = new Uint8Array(OPAQUE_BYTES);
  symbols.posix_spawn_file_actions_init(actions);
  for (const [number, fd] of fds.entries()) {
    if (fd !== undefined) symbols.posix_spawn_file_actions_adddup2(actions, fd, number);
  }
  const attributes = new Uint8Array(OPAQUE_BYTES);
  symbols.posix_spawnattr_init(attributes);
  symbols.posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF);
  const signals = new BigUint64Array(16);
  signals[0] = (1n << (SIGPIPE - 1n)) | (1n << (SIGXFSZ - 1n));
  symbols.posix_spawnattr_setsigdefault(attributes, signals);
  return { symbols, actions, attributes };
};

const makePipe = (): { read: number; write: number } => {
  const fds = new Int32Array(2);
  checked(libc().pipe2(fds, O_CLOEXEC), 'making a pipe');
  return { read: moved(fds[0] ?? -1), write: moved(fds[1] ?? -1) };
};

/** Where our own stdio is closed, a pipe gets one of its numbers, which the child's must not collide with. */
const moved = (fd: number): number => {
  const other = aboveStandard(fd);
  if (other !== fd) closeSync(fd);
  return other;
};

const aboveStandard = (fd: number): number =>
  fd > HIGHEST_GIVEN
    ? fd
    : checked(libc().fcntl(fd, F_DUPFD_CLOEXEC, (HIGHEST_GIVEN + 1) as Pointer), 'duplicating a descriptor');

/** C strings one after the other, and the array of pointers to them that ends with a null pointer. */
const cStrings = (texts: string[]): { bytes: Uint8Array; pointers: BigUint64Array } => {
  const bytes = new TextEncoder().encode(texts.map((text) => `${text.replaceAll('\0', '')}\0`).join(''));
  const pointers = new BigUint64Array(texts.length + 1);
  if (texts.length === 0) return { bytes, pointers };
  const base = BigInt(ptr(bytes));
  let offset = 0;
  for (let index = 0; index < texts.length; index++) {
    pointers[index] = base + BigInt(offset);
    offset = bytes.indexOf(0, offset) + 1;
  }
  return { bytes, pointers };
};

/** More than posix_spawnattr_t (336) and posix_spawn_file_actions_t (80) take in glibc and musl. */
const OPAQUE_BYTES = 512;
const HIGHEST_GIVEN = 4;
const O_CLOEXEC = 0o2000000;
const F_DUPFD_CLOEXEC = 1030;
const POSIX_SPAWN_SETSIGDEF = 0x04;
const POSIX_SPAWN_SETSID = 0x80;
const SIGPIPE = 13n;
const SIGXFSZ = 25n;
