import type { Place } from '../support/pod.ts';

/** An interface as `ip -j -d link` shows it. */
export interface Link {
  ifindex: number;
  ifname: string;
  address: string;
  mtu: number;
  flags: string[];
  master?: string;
  promiscuity: number;
  linkinfo?: {
    info_kind?: string;
    info_slave_data?: { hairpin?: boolean; isolated?: boolean; state?: string };
  };
}

/** A route as `ip -j route` shows it. */
export interface Route {
  dst: string;
  gateway?: string;
  dev?: string;
  metric?: number;
  scope?: string;
  prefsrc?: string;
  flags?: string[];
  metrics?: { mtu?: number; advmss?: number }[];
  nexthops?: { gateway: string }[];
}

/** An interface; throws when there is none of that name. */
export const linkOf = async (place: Place, name: string): Promise<Link> => {
  const links = JSON.parse(await place.exec(['ip', '-j', '-d', 'link', 'show', 'dev', name])) as Link[];
  const [link] = links;
  if (link === undefined) throw new Error(`no interface ${name}`);
  return link;
};

/** The names of all interfaces. */
export const linkNames = async (place: Place): Promise<string[]> =>
  (JSON.parse(await place.exec(['ip', '-j', 'link'])) as Link[]).map(({ ifname }) => ifname);

/** The addresses of an interface in CIDR notation, without the kernel's link-local ones. */
export const addressesOf = async (place: Place, name: string): Promise<string[]> => {
  const output = await place.exec(['ip', '-j', 'addr', 'show', 'dev', name]);
  const links = JSON.parse(output) as { addr_info?: { local: string; prefixlen: number }[] }[];
  return links
    .flatMap(({ addr_info = [] }) => addr_info)
    .map(({ local, prefixlen }) => `${local}/${prefixlen}`)
    .filter((address) => !address.startsWith('fe80:'));
};

/** The routes of a family, in the main table or another. */
export const routesOf = async (place: Place, family: 4 | 6 = 4, table = 'main'): Promise<Route[]> => {
  const output = await place.exec(['ip', '-j', `-${family}`, 'route', 'show', 'table', table]);
  return output.trim() === '' ? [] : (JSON.parse(output) as Route[]);
};

/** The names of the addresses that host-local has given out on a network. */
export const reservations = async (place: Place, network: string): Promise<string[]> => {
  const { stdout } = await place.attempt(['ls', `/var/lib/cni/networks/${network}`]);
  return stdout.split('\n').filter((name) => /^[0-9a-f]+[.:]/.test(name));
};
