import { type Cidr, formatCidr, parseAddress, parseCidr } from '../kernel/address-math.ts';
import { type AddressRange, aggregate, prefixesOf } from './address-ranges.ts';

/** What of a node's traffic gets the node's own address when it leaves. */
export interface OutgoingNat {
  /** Of the overlay: a node may be in several. */
  vni: number;
  /** The prefixes of this node's pods, in CIDR notation. */
  sources: readonly string[];
  /** What their packets reach with their own address: the pods of all nodes, and what an operator names. */
  excluded: readonly string[];
}

/** The same as addresses, each as few ranges as can be. */
export interface NatPlan {
  vni: number;
  sources: AddressRange[];
  excluded: AddressRange[];
}

/**
 * What no router passes on is nobody's to masquerade: multicast, limited broadcast, IPv6 link-local. IPv4 link-local is
 * not among it, as with flannel: clouds answer for their metadata service at 169.254.169.254, which knows nodes only.
 */
export const NEVER_MASQUERADED: readonly string[] = [
  '224.0.0.0/4',
  '255.255.255.255/32',
  'fe80::/10',
  'ff00::/8',
];

/** Throws TypeError on a text that is no prefix. */
export const planNat = ({ vni, sources, excluded }: OutgoingNat): NatPlan => ({
  vni,
  sources: planRanges(sources),
  excluded: planRanges([...excluded, ...NEVER_MASQUERADED]),
});

/** The same addresses as the fewest ranges. Throws as `planNat`. */
export const planRanges = (prefixes: readonly string[]): AddressRange[] => aggregate(prefixes.map(toCidr));

/** The same addresses as the fewest prefixes, for who keeps them from one sync to the next. Throws as `planNat`. */
export const aggregatePrefixes = (prefixes: Iterable<string>): string[] =>
  aggregate([...prefixes].map(toCidr))
    .flatMap(prefixesOf)
    .map(formatCidr);

/** Reads a prefix, or an address as the prefix of it alone; undefined for any other text. */
export const parsePrefix = (text: string): Cidr | undefined => {
  const address = parseAddress(text);
  if (address === undefined) return parseCidr(text);
  return { ...address, prefixLength: address.family === 4 ? 32 : 128 };
};

/** The families that have sources: only these need rules. */
export const natFamilies = ({ sources }: NatPlan): (4 | 6)[] =>
  ([4, 6] as const).filter((family) => sources.some((range) => range.family === family));

/** As `iptables-save` prints an address to match: without one for the prefix of everything. */
export const formatMatch = (flag: '-s' | '-d', prefix: Cidr): string =>
  prefix.prefixLength === 0 ? '' : ` ${flag} ${formatCidr(prefix)}`;

const toCidr = (text: string): Cidr => {
  const cidr = parsePrefix(text);
  if (cidr === undefined) throw new TypeError(`not a prefix: ${text}`);
  return cidr;
};
