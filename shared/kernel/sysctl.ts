import { readFileSync, writeFileSync } from './files.ts';

/**
 * A kernel setting in the netns of the calling thread, such as `net/ipv4/ip_forward`; slashes, because
 * an interface's name may hold dots. Undefined when there is none of that name: the interface is
 * missing, or IPv6 is off (`ipv6.disable=1`) or not in the kernel.
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
 * Sets it, unless it has the value already: reading is allowed where /proc/sys is mounted read-only.
 * False when there is none of that name. Throws what the write threw (EROFS, EPERM, EINVAL).
 */
export const writeSysctl = (name: string, value: string | number): boolean => {
  const before = readSysctl(name);
  if (before === undefined) return false;
  if (before === String(value)) return true;
  try {
    writeFileSync(pathOf(name), String(value));
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
  return true;
};

const pathOf = (name: string): string => {
  // An interface's name is part of it: nothing may lead out of /proc/sys.
  if (!/^[^/\0]+(\/[^/\0]+)+$/.test(name) || name.split('/').includes('..')) {
    throw new TypeError(`not the name of a sysctl: ${JSON.stringify(name)}`);
  }
  return `/proc/sys/${name}`;
};

const isMissing = (error: unknown): boolean => (error as { code?: unknown }).code === 'ENOENT';
