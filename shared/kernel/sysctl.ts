import { closeSync, constants, openSync, readFileSync, readOpenFile, writeAtSync } from './files.ts';

/**
 * A kernel setting in the netns of the calling thread, such as `net/ipv4/ip_forward`; slashes, because
 * an interface's name may hold dots. Undefined when there is none of that name: the interface is
 * missing, or IPv6 is off (`ipv6.disable=1`) or not in the kernel.
 *
 * PODWIRE_SYSCTL_DIR of the environment stands for /proc/sys, which is read-only in a container that is not
 * privileged: the node's, mounted elsewhere, is writable, and shows the netns of who looks all the same.
 */
export const readSysctl = (name: string): string | undefined => {
  try {
    return readFileSync(pathOf(name)).trim();
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
};

/**
 * Sets it, unless it has the value already: that is enough where /proc/sys is mounted read-only. False
 * when there is none of that name. Throws what opening for writing or the write threw (EROFS, EPERM,
 * EINVAL). The file is opened once: a look-up below /proc/sys/net passes the entries of all other network
 * namespaces, which takes 0.1 ms on a node with 500 pods.
 */
export const writeSysctl = (name: string, value: string | number): boolean => {
  let fd: number;
  try {
    fd = openSync(pathOf(name), constants.O_RDWR);
  } catch (error) {
    if (isMissing(error)) return false;
    if (readSysctl(name) === String(value)) return true;
    throw error;
  }
  try {
    if (readOpenFile(fd).trim() !== String(value))
      writeAtSync(fd, new TextEncoder().encode(String(value)), 0);
    return true;
  } finally {
    closeSync(fd);
  }
};

const pathOf = (name: string): string => {
  // An interface's name is part of it: nothing may lead out of /proc/sys.
  if (!/^[^/\0]+(\/[^/\0]+)+$/.test(name) || name.split('/').includes('..')) {
    throw new TypeError(`not the name of a sysctl: ${JSON.stringify(name)}`);
  }
  return `${process.env.PODWIRE_SYSCTL_DIR || '/proc/sys'}/${name}`;
};

const isMissing = (error: unknown): boolean => (error as { code?: unknown }).code === 'ENOENT';
