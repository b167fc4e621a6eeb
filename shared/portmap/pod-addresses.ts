import type { Result } from '../cni/types.ts';
import { type PodAddress, podAddress } from '../filter/pod-address.ts';

/**
 * The addresses that host ports lead to: the first of each family in prevResult that is not another
 * interface's than CNI_IFNAME in a container, IPv4 first. As the reference chooses them.
 */
export const portmapAddresses = ({ interfaces, ips }: Result, ifname: string): PodAddress[] => {
  const own = ips.filter(({ interface: index }) => {
    const entry = index === undefined ? undefined : interfaces[index];
    return entry === undefined || (entry.name === ifname && entry.sandbox !== undefined);
  });
  const all = own.map(({ address }) =>
    podAddress({ address: address.slice(0, address.indexOf('/')), subnet: address }),
  );
  return ([4, 6] as const).flatMap((family) => all.find((address) => address.family === family) ?? []);
};
