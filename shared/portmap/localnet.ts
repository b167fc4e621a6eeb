import { readLink } from '../kernel/link.ts';
import { lookUpRoute } from '../kernel/route-lookup.ts';
import { readSysctl, writeSysctl } from '../kernel/sysctl.ts';
import type { PortBinding } from './mapping.ts';
import { boundPorts, type PortmapOptions } from './options.ts';

/**
 * Lets connections from the host to 127.0.0.1 reach the pod: without route_localnet on the interface that
 * leads to it the kernel drops such packets as martians, before they are masqueraded. IPv6 has no such
 * switch. It stays on, as the interface may be a bridge. Throws the system's error.
 */
export const enableLocalnet = (options: PortmapOptions, addresses: readonly { address: string }[]): void => {
  for (const name of localnetInterfaces(options, addresses)) {
    writeSysctl(sysctlOf(name), '1');
  }
};

/** What is wrong with it, for a reader. */
export const findLocalnetLacks = (
  options: PortmapOptions,
  addresses: readonly { address: string }[],
): string[] =>
  localnetInterfaces(options, addresses)
    .filter((name) => readSysctl(sysctlOf(name)) === '0')
    .map((name) => `route_localnet of "${name}" is off`);

const localnetInterfaces = (options: PortmapOptions, addresses: readonly { address: string }[]): string[] => {
  const four = addresses.find(({ address }) => !address.includes(':'));
  if (!options.snat || four === undefined || !boundPorts(options, [4]).some(isReachedLocally)) return [];
  const index = lookUpRoute(four.address)?.linkIndex;
  const link = index === undefined ? undefined : readLink(index);
  return link === undefined ? [] : [link.name];
};

const isReachedLocally = ({ hostAddress }: PortBinding): boolean => hostAddress?.startsWith('127.') ?? true;

const sysctlOf = (name: string): string => `net/ipv4/conf/${name}/route_localnet`;
