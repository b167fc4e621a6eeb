import { type Place, Pod } from './pod.ts';
import { expectSuccess, programPath, runProcess } from './process.ts';
import { createHost, type TestHost } from './test-host.ts';

export interface PortOptions {
  /** `eth0` unless given. */
  ifname?: string;
  /** In CIDR notation. */
  addresses?: string[];
  mtu?: number;
  mac?: string;
}

/** Joins two hosts by one veth pair. */
export const linkHosts = async (
  [a, atA]: [TestHost, PortOptions],
  [b, atB]: [TestHost, PortOptions],
): Promise<void> => {
  await addVeth(a, atA.ifname ?? 'eth0', b, atB.ifname ?? 'eth0');
  await Promise.all([configurePort(a, atA), configurePort(b, atB)]);
};

/** A layer-2 switch in a namespace of its own. */
export interface Switch {
  host: TestHost;
  plug(host: TestHost, port: PortOptions): Promise<void>;
  dispose(): Promise<void>;
}

/** Makes a switch: each plugged host gets an interface on one shared segment. */
export const createSwitch = async (): Promise<Switch> => {
  const host = await createHost({ name: 'switch' });
  await host.exec(['ip', 'link', 'add', 'br0', 'up', 'type', 'bridge']);
  let ports = 0;
  const plug = async (to: TestHost, port: PortOptions): Promise<void> => {
    ports += 1;
    const own = `port${ports}`;
    await addVeth(host, own, to, port.ifname ?? 'eth0');
    await host.exec(['ip', 'link', 'set', own, 'master', 'br0', ...mtuArgs(port), 'up']);
    await configurePort(to, port);
  };
  return { host, plug, dispose: () => host.dispose() };
};

export interface OutsideOptions {
  /** Also the name of its netns on the host; `outside` unless given. */
  name?: string;
  /** The interface on the host; `out0` unless given. */
  ifname?: string;
  /**
   * A default route through the host. Without it, the outside can answer only what comes from the
   * link's own subnets: so an answer proves that the pod's address was masqueraded.
   */
  defaultRoute?: boolean;
}

/** A client or server beyond the host; not one of the host's pods. */
export interface Outside {
  place: Pod;
  /** The host's addresses on the link, in the order of the subnets, without prefix length. */
  hostAddresses: string[];
  /** The outside's own addresses. */
  addresses: string[];
}

/**
 * Joins an outside namespace to a host; of each subnet (`198.51.100.0/24`, `2001:db8:51::/64`) the
 * host gets the first address and the outside the second.
 */
export const connectOutside = async (
  host: TestHost,
  subnets: string | string[],
  options: OutsideOptions = {},
): Promise<Outside> => {
  const { name = 'outside', ifname = 'out0', defaultRoute = false } = options;
  const list = [subnets].flat();
  const place = new Pod(host, name);
  const hostEnd = list.map((subnet) => `addr add ${memberOf(subnet, 1)} dev ${ifname}${noDad(subnet)}`);
  const outsideEnd = list.map((subnet) => `addr add ${memberOf(subnet, 2)} dev eth0${noDad(subnet)}`);
  const routes = defaultRoute
    ? list.map((subnet) => `route add default via ${withoutPrefix(memberOf(subnet, 1))} dev eth0`)
    : [];
  await host.exec(['ip', 'netns', 'add', name]);
  await host.exec(['ip', 'link', 'add', ifname, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name]);
  await configure(host, ifname, [...hostEnd, `link set ${ifname} up`]);
  await configure(place, 'eth0', [...outsideEnd, 'link set lo up', 'link set eth0 up', ...routes]);
  return {
    place,
    hostAddresses: list.map((subnet) => withoutPrefix(memberOf(subnet, 1))),
    addresses: list.map((subnet) => withoutPrefix(memberOf(subnet, 2))),
  };
};

// Run outside of both mount namespaces, where a peer can be named by its /proc path.
const addVeth = async (a: TestHost, nameA: string, b: TestHost, nameB: string): Promise<void> => {
  const argv = ['ip', 'link', 'add', nameA, 'type', 'veth', 'peer', 'name', nameB, 'netns', b.netnsPath];
  expectSuccess(await runProcess([programPath('nsenter'), `--net=${a.netnsPath}`, '--', ...argv]));
};

const configurePort = async (host: TestHost, port: PortOptions): Promise<void> => {
  const { ifname = 'eth0', addresses = [], mac } = port;
  const lines = addresses.map((address) => `addr add ${address} dev ${ifname}${noDad(address)}`);
  const macArgs = mac === undefined ? [] : ['address', mac];
  lines.unshift(`link set ${[ifname, ...macArgs, ...mtuArgs(port), 'up'].join(' ')}`);
  await configure(host, ifname, lines);
};

// Without duplicate address detection also for the link-local address, which the kernel needs for its
// first neighbour solicitation: else IPv6 would work only a second or two after the link is up.
const configure = async (place: Place, ifname: string, batch: string[]): Promise<void> => {
  const script = `dad=/proc/sys/net/ipv6/conf/${ifname}/accept_dad
    if [ -e "$dad" ]; then echo 0 >"$dad"; fi
    exec ip -batch -`;
  await place.shell(script, { stdin: `${batch.join('\n')}\n` });
};

const mtuArgs = ({ mtu }: PortOptions): string[] => (mtu === undefined ? [] : ['mtu', String(mtu)]);

const noDad = (address: string): string => (address.includes(':') ? ' nodad' : '');

const memberOf = (subnet: string, host: number): string => {
  const [network = '', length = ''] = subnet.split('/');
  if (network.endsWith('::')) return `${network}${host}/${length}`;
  if (network.endsWith('.0')) return `${network.slice(0, -1)}${host}/${length}`;
  throw new Error(`subnet must end with .0 or ::, got ${subnet}`);
};

const withoutPrefix = (address: string): string => address.split('/')[0] ?? '';
