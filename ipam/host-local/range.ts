import type { Fields } from '../../shared/cni/fields.ts';
import {
  type Address,
  bitsOf,
  type Cidr,
  formatAddress,
  formatCidr,
  lastOf,
  networkOf,
  parseAddress,
  parseCidr,
} from '../../shared/kernel/address-math.ts';
import type { Span } from '../../shared/store/reservations/memory-index.ts';
import { formatSpans, spanHolds } from '../../shared/store/reservations/spans.ts';

/** One range of a set: the addresses, the subnet they are given with, and its gateway. */
export interface Range extends Span {
  subnet: Cidr;
  gateway: Address;
}

/**
 * Reads `{subnet, rangeStart, rangeEnd, gateway}` as the reference's `Range.Canonicalize` does: the
 * subnet must be a network of at least four addresses; start and gateway default to its first address
 * but one, end to its last one, without the IPv4 broadcast address. An empty string counts as absent.
 * Throws CniError 7.
 */
export const parseRange = (fields: Fields): Range => {
  const subnet = parseSubnet(fields);
  const start = addressIn(fields, 'rangeStart', subnet) ?? subnet.value + 1n;
  const end = addressIn(fields, 'rangeEnd', subnet) ?? lastOf(subnet).value - (subnet.family === 4 ? 1n : 0n);
  if (end < start) {
    throw fields.invalid(
      'rangeEnd',
      `must not lie before the range's start ${formatAddress({ ...subnet, value: start })}`,
    );
  }
  return { family: subnet.family, first: start, last: end, subnet, gateway: parseGateway(fields, subnet) };
};

/** Whether two ranges have an address in common. */
export const overlap = (a: Span, b: Span): boolean =>
  spanHolds(a, { family: b.family, value: b.first }) || spanHolds(b, { family: a.family, value: a.first });

/** `10.1.0.1-10.1.0.254` */
export const formatRange = (range: Range): string => formatSpans([range]);

const parseSubnet = (fields: Fields): Cidr => {
  const subnet = parseCidr(fields.string('subnet') ?? '');
  if (subnet === undefined) throw fields.invalid('subnet', 'must be a network in CIDR notation');
  if (subnet.prefixLength > bitsOf(subnet.family) - 2) {
    throw fields.invalid('subnet', 'is too small to allocate from: it needs at least four addresses');
  }
  const network = networkOf(subnet);
  if (network.value !== subnet.value) {
    throw fields.invalid('subnet', 'has host bits set', `The network is ${formatCidr(network)}.`);
  }
  return subnet;
};

const addressIn = (fields: Fields, key: string, subnet: Cidr): bigint | undefined => {
  const address = parseOptional(fields, key);
  if (address === undefined) return undefined;
  const span = { family: subnet.family, first: subnet.value, last: lastOf(subnet).value };
  if (!spanHolds(span, address)) throw fields.invalid(key, `must lie in the subnet ${formatCidr(subnet)}`);
  return address.value;
};

/** May lie outside of the subnet, as in the reference, but not in the other family. */
const parseGateway = (fields: Fields, subnet: Cidr): Address => {
  const gateway = parseOptional(fields, 'gateway');
  if (gateway === undefined) return { family: subnet.family, value: subnet.value + 1n };
  if (gateway.family !== subnet.family) {
    throw fields.invalid('gateway', `must be of the same family as the subnet ${formatCidr(subnet)}`);
  }
  return gateway;
};

const parseOptional = (fields: Fields, key: string): Address | undefined => {
  const text = fields.string(key) ?? '';
  if (text === '') return undefined;
  const address = parseAddress(text);
  if (address === undefined) throw fields.invalid(key, 'must be an IP address');
  return address;
};
