import { readFileSync, readlinkSync } from 'node:fs';

/**
 * What tells this node from another of the same name, for as long as the machine runs: its boot, and the network
 * namespace, as several nodes may be simulated on one machine. Not the machine's id: clones of one image share it.
 */
export const nodeInstance = (): string => {
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return `${boot} ${readlinkSync('/proc/self/ns/net')}`;
};
