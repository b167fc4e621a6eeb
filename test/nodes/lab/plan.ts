/** What carries the nodes' own traffic. */
export type UnderlayFamily = 'ipv4' | 'ipv6' | 'dual';

export interface LabShape {
  /** The L2 segment of each node, 0 or 1; a router joins two segments. */
  segments: number[];
  underlay: UnderlayFamily;
  /** Bytes, of the nodes' uplinks. */
  mtu: number;
}

/** A namespace by the pid of a process in it. */
export interface NamespacePids {
  nodes: number[];
  outside: number;
}

/** The last byte of the router's addresses; nodes have 1, 2, … */
const ROUTER = 254;

// Documentation prefixes (RFC 5737, RFC 3849). Nobody but the nodes has routes to pods.
const segments4 = ['198.51.100', '203.0.113'];
const segments6 = ['2001:db8:0:a', '2001:db8:0:b'];

export const outside = { ipv4: '192.0.2.2', ipv6: '2001:db8:ffff::2' };

const router = { ipv4: '192.0.2.1', ipv6: '2001:db8:ffff::1' };

/** An underlay address, with the prefix length of its segment. */
export interface UnderlayAddress {
  address: string;
  prefixLength: number;
}

/** Addresses of the host with this number in a segment, IPv4 first. */
export const underlayAddresses = (
  underlay: UnderlayFamily,
  segment: number,
  number: number,
): UnderlayAddress[] => [
  ...(underlay === 'ipv6' ? [] : [{ address: `${segments4[segment]}.${number}`, prefixLength: 24 }]),
  ...(underlay === 'ipv4'
    ? []
    : [{ address: `${segments6[segment]}::${number.toString(16)}`, prefixLength: 64 }]),
];

/** `ip -batch` lines for the namespace of the switches, which is the router as well. */
export const switchLines = ({ segments, underlay, mtu }: LabShape, pids: NamespacePids): string[] => [
  ...[...new Set(segments)].flatMap((segment) => [
    `link add br${segment} type bridge mcast_snooping 0`,
    ...underlayAddresses(underlay, segment, ROUTER).map((address) => addressLine(address, `br${segment}`)),
    `link set br${segment} up`,
  ]),
  ...segments.flatMap((segment, index) => [
    `link add n${index + 1} mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns /proc/${pids.nodes[index]}/ns/net`,
    `link set n${index + 1} master br${segment} up`,
  ]),
  `link add outside type veth peer name eth0 netns /proc/${pids.outside}/ns/net`,
  addressLine({ address: router.ipv4, prefixLength: 24 }, 'outside'),
  addressLine({ address: router.ipv6, prefixLength: 64 }, 'outside'),
  'link set outside up',
];

/** `ip -batch` lines for a node; its number counts from 1. */
export const nodeLines = ({ segments, underlay }: LabShape, number: number): string[] => {
  const segment = segments[number - 1] ?? 0;
  return [
    ...underlayAddresses(underlay, segment, number).map((address) => addressLine(address, 'eth0')),
    'link set eth0 up',
    ...underlayAddresses(underlay, segment, ROUTER).map(
      ({ address }) => `route add default via ${address} dev eth0`,
    ),
  ];
};

/** `ip -batch` lines for the host outside. */
export const outsideLines: string[] = [
  addressLine({ address: outside.ipv4, prefixLength: 24 }, 'eth0'),
  addressLine({ address: outside.ipv6, prefixLength: 64 }, 'eth0'),
  'link set eth0 up',
  `route add default via ${router.ipv4}`,
  `route add default via ${router.ipv6}`,
];

function addressLine({ address, prefixLength }: UnderlayAddress, device: string): string {
  return `address add ${address}/${prefixLength} dev ${device}${address.includes(':') ? ' nodad' : ''}`;
}
