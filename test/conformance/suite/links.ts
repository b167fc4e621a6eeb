import type { Place } from '../../support/pod.ts';

/** A link as `ip -j -d link` shows it. */
export interface Link {
  ifname: string;
  address: string;
  mtu: number;
  flags: string[];
  master?: string;
  linkinfo?: { info_kind?: string };
}

/** The links of a host or pod. */
export const linksOf = async (place: Place): Promise<Link[]> =>
  JSON.parse(await place.exec(['ip', '-j', '-d', 'link', 'show'])) as Link[];

/** The link of that name, or undefined when there is none. */
export const linkOf = async (place: Place, ifname: string): Promise<Link | undefined> =>
  (await linksOf(place)).find((link) => link.ifname === ifname);
