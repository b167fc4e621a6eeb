import { mkdirSync, writeFileSync } from 'node:fs';

/**
 * Writes what `count` ADDs by host-local leave on disk for a /16 that starts with `prefix` (`10.88`): a file per
 * address with container and interface, the last address given out, and the lock file (containernetworking's
 * `host-local/backend/disk`).
 */
export const reserveAddresses = (directory: string, prefix: string, count: number): void => {
  mkdirSync(directory, { recursive: true });
  writeFileSync(`${directory}/lock`, '');
  for (let index = 0; index < count; index += 1) {
    writeFileSync(`${directory}/${addressAt(prefix, index)}`, `resident-${index}\r\neth0`);
  }
  writeFileSync(`${directory}/last_reserved_ip.0`, addressAt(prefix, count - 1));
};

/** The address that the `index`th ADD gets: .0.0 is the network, .0.1 the gateway. */
const addressAt = (prefix: string, index: number): string => {
  const host = index + 2;
  return `${prefix}.${host >> 8}.${host & 255}`;
};
