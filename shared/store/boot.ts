import { readFileSync } from '../kernel/files.ts';

/**
 * The kernel's id of this boot: a UUID that is new after each reboot and the same in all containers of
 * one machine (proc_sys_kernel(5), "random/boot_id"). Empty when it can't be read; an empty id proves
 * nothing, so nobody may conclude a reboot from it.
 */
export const bootId = (): string => {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id').trim();
  } catch {
    return '';
  }
};
