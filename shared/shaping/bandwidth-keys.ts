import { networkCidr } from '../attachment/address-compare.ts';
import { Fields } from '../cni/fields.ts';
import type { JsonObject } from '../cni/types.ts';
import { parseCidr } from '../kernel/address-math.ts';

/** A limit of one direction as it was asked for: bits per second, and bits; without `burst`, the default. */
export interface RateLimit {
  rate: number;
  burst?: number;
  /** A burst that the runtime gave for want of one, and that counts as not given. */
  placeholder?: number;
}

/** The subnets that are shaped while nothing else is, or that are not while everything else is. */
export interface SubnetSelection {
  shaped: boolean;
  /** In CIDR notation, without host bits. */
  subnets: string[];
}

/** What a configuration asks of a pod's bandwidth. `ingress` is to the pod, `egress` from it. */
export interface BandwidthKeys {
  ingress?: RateLimit;
  egress?: RateLimit;
  selection?: SubnetSelection;
}

/**
 * The keys of the bandwidth plugin, out of `own` (the plugin's configuration, or the object `bandwidth`
 * of a network plugin's) and of the runtime's capability `bandwidth`. As in the reference, the rates
 * and bursts come from one of the two, and `own` wins when it has any of them; the subnets, which no
 * runtime gives, are looked for in both by themselves, so that a conflist can name them for pods whose
 * rates are annotations. Throws CniError 7 that names the key at fault.
 */
export const parseBandwidthKeys = (own: Fields, runtimeConfig: JsonObject): BandwidthKeys => {
  const given = new Fields(runtimeConfig, 'runtimeConfig').fields('bandwidth');
  const isOwn = RATE_KEYS.some((key) => own.has(key));
  const source = isOwn ? own : given;
  const ingress = parseLimit(source, 'ingress', !isOwn);
  const egress = parseLimit(source, 'egress', !isOwn);
  const selection = parseSelection(own) ?? parseSelection(given);
  return { ...(ingress && { ingress }), ...(egress && { egress }), ...(selection && { selection }) };
};

/** As `parseBandwidthKeys`, for DEL, which must not fail on a configuration that ADD refused: then nothing was asked. */
export const parseBandwidthForRemoval = (own: Fields, runtimeConfig: JsonObject): BandwidthKeys => {
  try {
    return parseBandwidthKeys(own, runtimeConfig);
  } catch {
    return {};
  }
};

/** Whether anything is to be shaped at all. */
export const wantsShaping = ({ ingress, egress }: BandwidthKeys): boolean =>
  ingress !== undefined || egress !== undefined;

const RATE_KEYS = ['ingressRate', 'ingressBurst', 'egressRate', 'egressBurst'];

/** Go's uint64, as which the reference reads them. */
const LARGEST = 2 ** 64;

/** Traffic control counts bytes. */
const LEAST_RATE = 8;

/**
 * What runtimes that know only the rate give as burst, for "no limit": kubelet's dockershim, containerd,
 * CRI-O today and formerly. A burst of half a gigabyte and more would let most transfers pass unshaped
 * (kubernetes issue 90838), so these count as not given.
 */
const NO_BURST = new Set([2 ** 31 - 1, 2 ** 32 - 1, 8 * (2 ** 32 - 1) - 1, 8 * (2 ** 32 - 1)]);

const parseLimit = (
  fields: Fields,
  direction: 'ingress' | 'egress',
  isRuntimes: boolean,
): RateLimit | undefined => {
  const rateKey = `${direction}Rate`;
  const burstKey = `${direction}Burst`;
  const rate = fields.integer(rateKey, 0, LARGEST) ?? 0;
  const burst = fields.integer(burstKey, 0, LARGEST) ?? 0;
  if (rate === 0 && burst !== 0) {
    throw fields.invalid(
      burstKey,
      `needs "${fields.pathOf(rateKey)}"`,
      'Set the rate too, or neither for no limit.',
    );
  }
  if (rate === 0) return undefined;
  if (rate < LEAST_RATE) throw fields.invalid(rateKey, `must be at least ${LEAST_RATE} bits per second`);
  if (burst === 0) return { rate };
  return isRuntimes && NO_BURST.has(burst) ? { rate, placeholder: burst } : { rate, burst };
};

const parseSelection = (fields: Fields): SubnetSelection | undefined => {
  const unshaped = parseSubnets(fields, 'unshapedSubnets');
  const shaped = parseSubnets(fields, 'shapedSubnets');
  if (unshaped.length > 0 && shaped.length > 0) {
    throw fields.invalid(
      'shapedSubnets',
      'cannot be combined with "unshapedSubnets"',
      'Give one of the two.',
    );
  }
  if (shaped.length > 0) return { shaped: true, subnets: shaped };
  return unshaped.length > 0 ? { shaped: false, subnets: unshaped } : undefined;
};

const parseSubnets = (fields: Fields, key: string): string[] => {
  const list = fields.strings(key) ?? [];
  if (list.some((text) => parseCidr(text) === undefined)) {
    throw fields.invalid(
      key,
      'must be a list of subnets',
      'Write each as ADDRESS/LENGTH, such as "10.0.0.0/8".',
    );
  }
  return [...new Set(list.map(networkCidr))];
};
