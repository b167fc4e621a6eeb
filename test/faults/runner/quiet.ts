import { readdirSync, readlinkSync } from 'node:fs';
import type { TestHost } from '../../support/test-host.ts';
import { waitUntil } from '../../support/wait-until.ts';

/**
 * Waits until no process is left on a host. A call returns when what its tools did is visible, and leaves them to
 * sit out the kernel's grace period; so this is to see that they end, and no recovery waits for it. Throws when
 * one stays.
 */
export const untilQuiet = async (host: TestHost): Promise<void> => {
  const ours = readlinkSync(`/proc/${host.pid}/ns/mnt`);
  const others = () => readdirSync('/proc').filter((pid) => pid !== String(host.pid) && isIn(pid, ours));
  await waitUntil('no process is left on the host', () => others().length === 0);
};

const isIn = (pid: string, mountNamespace: string): boolean => {
  try {
    return /^\d+$/.test(pid) && readlinkSync(`/proc/${pid}/ns/mnt`) === mountNamespace;
  } catch {
    // It has ended.
    return false;
  }
};
