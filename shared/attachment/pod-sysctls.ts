import type { IpConfig } from '../cni/types.ts';
import { readSysctl, writeSysctl } from '../kernel/sysctl.ts';

/**
 * Prepares a pod's interface, from inside its netns, before the link goes up. IPv6 is switched on for
 * it and `lo` when the pod has an IPv6 address, as the reference does: some runtimes switch it off.
 * Without DAD, link-local addresses are usable at once, too. Later address or MAC changes are
 * announced by the kernel (arp_notify, ndisc_notify).
 */
export const preparePodInterface = (ifname: string, ips: IpConfig[], enableDad: boolean): void => {
  if (ips.some(({ address }) => address.includes(':'))) {
    for (const name of ['lo', ifname]) {
      const key = `net/ipv6/conf/${name}/disable_ipv6`;
      if (readSysctl(key) === '1') writeSysctl(key, '0');
    }
  }
  if (!enableDad) writeSysctl(`net/ipv6/conf/${ifname}/accept_dad`, '0');
  writeSysctl(`net/ipv4/conf/${ifname}/arp_notify`, '1');
  writeSysctl(`net/ipv6/conf/${ifname}/ndisc_notify`, '1');
};

/** Lets the host route for the families that have a gateway on it. */
export const enableForwarding = (ips: IpConfig[]): void => {
  if (ips.some(({ address }) => !address.includes(':'))) writeSysctl('net/ipv4/ip_forward', '1');
  if (ips.some(({ address }) => address.includes(':'))) writeSysctl('net/ipv6/conf/all/forwarding', '1');
};
