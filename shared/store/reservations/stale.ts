import { fileSystemType } from '../../kernel/files.ts';
import { openNetnsIfPresent } from '../../kernel/netns.ts';
import type { Reservation } from './record.ts';

/**
 * Whether a reservation's container is certainly gone: it was made (or, when another program made it,
 * first seen) in another boot, and no network namespace outlives a reboot. Its netns path must lead to
 * none, as one more proof; a path below /proc/<pid> proves nothing, since pids come back. Clocks are not
 * asked. The caller makes sure that the file is still the one the record describes.
 */
export const isStale = ({ bootId, netns }: Reservation, currentBoot: string): boolean => {
  if (bootId === '' || currentBoot === '' || bootId === currentBoot) return false;
  return netns === undefined || /^\/proc\/\d+\//.test(netns) || isGone(netns);
};

/**
 * Whether a directory is on a file system of this machine alone. On one that machines share (NFS,
 * CIFS, 9p, FUSE, …) another boot id may be that of another machine, which is up.
 */
export const isLocalFileSystem = (directory: string): boolean => {
  try {
    return localFileSystems.has(fileSystemType(directory));
  } catch {
    return false;
  }
};

/** Magic numbers of statfs(2): ext2 to ext4, xfs, btrfs, f2fs, zfs, bcachefs, overlayfs, tmpfs, ramfs. */
const localFileSystems = new Set([
  0xef53, 0x58465342, 0x9123683e, 0xf2f52010, 0x2fc12fc1, 0xca451a4e, 0x794c7630, 0x01021994, 0x858458f6,
]);

/** On a /run that is no tmpfs, a reboot leaves the file that the netns was mounted on. */
const isGone = (path: string): boolean => {
  try {
    const netns = openNetnsIfPresent(path);
    netns?.close();
    return netns === undefined;
  } catch {
    return false;
  }
};
