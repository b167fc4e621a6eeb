import type { CniError } from '../cni/errors.ts';
import { Fields } from '../cni/fields.ts';
import type { JsonObject } from '../cni/types.ts';
import {
  type Address,
  bitsOf,
  type Cidr,
  firstHostOf,
  formatCidr,
  lastOf,
  networkOf,
  parseAddress,
  parseCidr,
} from '../kernel/address-math.ts';
import { isRecordName } from '../store/datastore/datastore.ts';
import type { Span } from '../store/reservations/memory-index.ts';
import { spanHolds } from '../store/reservations/spans.ts';
import { parseSpan, spanOf, spansOverlap } from './ranges.ts';
import type { Labels, NamespaceSelector } from './records.ts';

/** A pool as it is worked with. */
export interface Pool {
  name: string;
  cidr: Cidr;
  /** Prefix length of its blocks. */
  blockSize: number;
  disabled: boolean;
  namespaceSelector: NamespaceSelector | undefined;
  /** Labels that a node must have. */
  nodeLabels: Labels;
  /** Never given. */
  excluded: Span[];
  /** Given only when asked for. */
  reserved: Span[];
  gateway: Address;
}

/** A block has at most 65536 addresses: it is what one read of the node's index covers. */
const longestHostBits = 16;

/** Reads a pool from the datastore or a configuration. Throws CniError 7 that names the key. */
export const parsePool = (name: string, value: JsonObject, where = `pool ${name}`): Pool => {
  const fields = new Fields(value, where);
  if (!isRecordName(name)) {
    throw fields.invalid('name', 'must be a name of lower-case letters, digits, "-" and "."');
  }
  const cidr = parseNetwork(fields);
  const bits = bitsOf(cidr.family);
  const fewest = Math.max(cidr.prefixLength, bits - longestHostBits);
  const blockSize = fields.integer('blockSize', fewest, bits) ?? Math.max(cidr.prefixLength, bits - 6);
  const gateway = parseAddress(fields.string('gateway') ?? '');
  if (fields.has('gateway') && (gateway === undefined || !spanHolds(spanOf(cidr), gateway))) {
    throw fields.invalid('gateway', `must be an address of ${formatCidr(cidr)}`);
  }
  return {
    name,
    cidr,
    blockSize,
    disabled: fields.boolean('disabled') ?? false,
    namespaceSelector: parseNamespaceSelector(fields),
    nodeLabels: labelsOf(fields.fields('nodeSelector'), 'matchLabels'),
    excluded: parseSpans(fields, 'excluded', cidr),
    reserved: parseSpans(fields, 'reserved', cidr),
    gateway: gateway ?? firstHostOf(cidr),
  };
};

/** What is wrong with one of several pools: it is left out, and the others are used. */
export interface RefusedPool {
  name: string;
  error: CniError;
}

/**
 * The pools in the order of their names. One that cannot be read, and one that overlaps another whose name comes first,
 * is refused.
 */
export const parsePools = (
  values: readonly { name: string; value: JsonObject }[],
): { pools: Pool[]; refused: RefusedPool[] } => {
  const pools: Pool[] = [];
  const refused: RefusedPool[] = [];
  for (const { name, value } of [...values].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    try {
      const pool = parsePool(name, value);
      const other = pools.find(({ cidr }) => spansOverlap(spanOf(cidr), spanOf(pool.cidr)));
      if (other !== undefined) {
        throw new Fields(value, `pool ${name}`).invalid(
          'cidr',
          `overlaps that of pool ${other.name}, ${formatCidr(other.cidr)}`,
        );
      }
      pools.push(pool);
    } catch (error) {
      refused.push({ name, error: error as CniError });
    }
  }
  return { pools, refused };
};

/** Addresses of a pool that no pod can have: those that name the network, its gateway, and what is excluded. */
export const unusableOf = ({ cidr, gateway, excluded }: Pool): Span[] => {
  const { first, last } = spanOf(cidr);
  const single = (value: bigint): Span => ({ family: cidr.family, first: value, last: value });
  const named = last - first < 2n ? [] : [single(first), ...(cidr.family === 4 ? [single(last)] : [])];
  return [...named, single(gateway.value), ...excluded];
};

const parseNetwork = (fields: Fields): Cidr => {
  const cidr = parseCidr(fields.string('cidr') ?? '');
  if (cidr === undefined) throw fields.invalid('cidr', 'must be a network in CIDR notation');
  const network = networkOf(cidr);
  if (network.value !== cidr.value) {
    throw fields.invalid('cidr', 'has host bits set', `The network is ${formatCidr(network)}.`);
  }
  if (lastOf(cidr).value - cidr.value < 3n) throw fields.invalid('cidr', 'needs at least four addresses');
  return cidr;
};

const parseSpans = (fields: Fields, key: string, cidr: Cidr): Span[] =>
  (fields.strings(key) ?? []).map((text) => {
    const span = parseSpan(text);
    if (span === undefined) {
      throw fields.invalid(
        key,
        `must list networks, addresses or "first-last"; ${JSON.stringify(text)} is none`,
      );
    }
    if (!spansOverlap(span, spanOf(cidr))) {
      throw fields.invalid(key, `has ${JSON.stringify(text)}, which is outside of ${formatCidr(cidr)}`);
    }
    return span;
  });

const parseNamespaceSelector = (fields: Fields): NamespaceSelector | undefined => {
  if (!fields.has('namespaceSelector')) return undefined;
  const selector = fields.fields('namespaceSelector');
  const names = selector.strings('names');
  const matchLabels = labelsOf(selector, 'matchLabels');
  return { ...(names === undefined ? {} : { names }), matchLabels };
};

/** Labels by key; empty where there are none. Throws CniError 7. */
export const labelsOf = (fields: Fields, key: string): Labels => {
  const labels = fields.object(key) ?? {};
  for (const [name, value] of Object.entries(labels)) {
    if (typeof value !== 'string')
      throw fields.invalid(key, `must have strings as values; "${name}" has none`);
  }
  return labels as Labels;
};
