import type { Place } from '../support/pod.ts';

/** What tuning changes of an interface and its netns, as the kernel has it. */
export const tunedState = async (place: Place, ifname: string) => {
  const [link] = JSON.parse(await place.exec(['ip', '-j', '-d', 'link', 'show', 'dev', ifname])) as {
    address: string;
    mtu: number;
    flags: string[];
    txqlen: number;
  }[];
  if (link === undefined) throw new Error(`no interface ${ifname}`);
  const sysctl = async (name: string): Promise<string> =>
    (await place.exec(['cat', `/proc/sys/net/ipv4/${name}`])).trim();
  return {
    mac: link.address,
    mtu: link.mtu,
    promisc: link.flags.includes('PROMISC'),
    allmulti: link.flags.includes('ALLMULTI'),
    txQLen: link.txqlen,
    arpFilter: await sysctl(`conf/${ifname}/arp_filter`),
    ttl: await sysctl('ip_default_ttl'),
  };
};
