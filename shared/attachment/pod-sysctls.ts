import type { IpConfig } from '../cni/types.ts';
import { readSysctl, writeSysctl } from '../kernel/sysctl.ts';

/**
 * Prepares a pod's interface, from inside its netns, before the link goes up. When the pod has an IPv6
 * address, IPv6 is switched on for it and `lo`, as the reference does: some runtimes switch it off; and
 * addresses outlast a link that is taken down to change its MAC. Without DAD, link-local addresses are
 * usable at once, too. Its MAC is announced by the kernel (arp_notify, ndisc_notify), for the families
 * that have an address: on a bridge with 500 ports each announcement costs a ms.
 */
export const preparePodInterface = (ifname: string, ips: IpConfig[], enableDad: boolean): void => {
  const hasIpv6 = ips.some(({ address }) => address.includes(':'));
  if (hasIpv6) {
    for (const name of ['lo', ifname]) {
      const key = `net/ipv6/conf/${name}/disable_ipv6`;
      if (readSysctl(key) === '1') writeSysctl(key, '0');
    }
    writeSysctl(`net/ipv6/conf/${ifname}/keep_addr_on_down`, '1');
    writeSysctl(`net/ipv6/conf/${ifname}/ndisc_notify`, '1');
  }
  writeSysctl(`net/ipv6/conf/${ifname}/accept_dad`, enableDad ? '1' : '0');
  // RFC 7527: a probe that a bridge in hairpin mode sends back is not taken for another host's.
  if (enableDad) writeSysctl(`net/ipv6/conf/${ifname}/enhanced_dad`, '1');
  if (ips.some(({ address }) => !address.includes(':'))) {
    writeSysctl(`net/ipv4/conf/${ifname}/arp_notify`, '1');
  }
};

/**
 * Prepares a device of ours on the host that talks to pods, before it has a carrier: its routes are ours
 * alone, and its link-local address is usable at once. The host could not ask for a pod's MAC before,
 * so that what it forwards to the pod would wait for a second or two.
 */
export const prepareHostDevice = (name: string): void => {
  writeSysctl(`net/ipv6/conf/${name}/accept_ra`, '0');
  writeSysctl(`net/ipv6/conf/${name}/accept_dad`, '0');
};

/** The settings by which the host routes for a family. */
export const FORWARDING_SYSCTLS = { 4: 'net/ipv4/ip_forward', 6: 'net/ipv6/conf/all/forwarding' } as const;

/** The families of addresses, each once. */
export const familiesOf = (ips: IpConfig[]): (4 | 6)[] =>
  ([4, 6] as const).filter((family) => ips.some(({ address }) => address.includes(':') === (family === 6)));

/** Lets the host route for the families that have a gateway on it. */
export const enableForwarding = (ips: IpConfig[]): void => {
  for (const family of familiesOf(ips)) writeSysctl(FORWARDING_SYSCTLS[family], '1');
};

/** The families of these addresses for which the host does not route, though it should. */
export const familiesWithoutForwarding = (families: readonly (4 | 6)[]): (4 | 6)[] =>
  families.filter((family) => readSysctl(FORWARDING_SYSCTLS[family]) === '0');
