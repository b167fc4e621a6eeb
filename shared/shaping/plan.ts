import type { U32Key } from '../kernel/tc-message.ts';
import type { BandwidthKeys, SubnetSelection } from './bandwidth-keys.ts';
import { subnetKeys } from './subnet-keys.ts';
import { type TokenBucket, tokenBucketOf } from './token-bucket.ts';

/**
 * What has to exist for a pod's bandwidth, as a value that JSON carries. To the pod: a token bucket at the
 * root of the host end of its veth; with subnets, an `htb` there whose one class has the limit, beside its
 * direct queue, which has none. From the pod: what the host end receives is redirected to an ifb, whose
 * root is a token bucket; with subnets, only what is to be shaped is redirected.
 */
export interface ShapingPlan {
  /** The host end of the pod's veth, and its MTU in bytes, from which bursts and the ifb's own follow. */
  device: string;
  mtu: number;
  ingress?: TokenBucket;
  egress?: { bucket: TokenBucket; ifb: Ifb };
  selection?: SubnetSelection;
}

/** The device that what a pod sends is queued at. */
export interface Ifb {
  name: string;
  /** Tells whose it is. */
  alias: string;
  mac: string;
}

/** The plan for limits on a veth; `ifb` is what to call the device, should one be needed. */
export const planShaping = (
  { ingress, egress, selection }: BandwidthKeys,
  { device, mtu }: { device: string; mtu: number },
  ifb: Ifb,
): ShapingPlan => ({
  device,
  mtu,
  ...(ingress === undefined ? {} : { ingress: tokenBucketOf(ingress, mtu) }),
  ...(egress === undefined ? {} : { egress: { bucket: tokenBucketOf(egress, mtu), ifb } }),
  ...(selection === undefined ? {} : { selection }),
});

/** A `u32` filter of ours. */
export interface FilterPlan {
  protocol: 'all' | 'ip' | 'ipv6';
  priority: number;
  keys: U32Key[];
  classId: number;
  /** To the ifb; else the packet goes its way. */
  redirects: boolean;
}

/** `1:`, the handle of what is at the root. */
export const ROOT_HANDLE = 0x1_0000;

/** `1:30`, the class with the limit; the number is that of the reference plugin's `htb` (1.5). */
export const SHAPED_CLASS = 0x1_0030;

/** The filters that tell apart what the host sends to the pod, by its source; none without subnets. */
export const rootFilters = ({ ingress, selection }: ShapingPlan): FilterPlan[] => {
  if (ingress === undefined || selection === undefined) return [];
  // Class 1:0 is htb's direct queue.
  const classId = selection.shaped ? SHAPED_CLASS : ROOT_HANDLE;
  return bySubnet(selection, 'source').map((filter) => ({ ...filter, classId, redirects: false }));
};

/** The filters for what the host receives from the pod, by its destination; the last takes all that is left. */
export const ingressFilters = ({ egress, selection }: ShapingPlan): FilterPlan[] => {
  if (egress === undefined) return [];
  const subnets = selection === undefined ? [] : bySubnet(selection, 'destination');
  const redirects = selection?.shaped === true;
  const filters = subnets.map((filter) => ({ ...filter, classId: FLOW, redirects }));
  if (redirects) return filters;
  const priority = Math.max(0, ...filters.map((filter) => filter.priority)) + 1;
  return [...filters, { protocol: 'all', priority, keys: EVERYTHING, classId: FLOW, redirects: true }];
};

/** The priorities that our filters for what comes in may have: no others are ever removed. */
export const INGRESS_PRIORITIES = [1, 2, 3];

/** A priority has one protocol (net/sched/cls_api.c). */
const bySubnet = ({ subnets }: SubnetSelection, side: 'source' | 'destination') =>
  subnets.map((subnet) => {
    const isIpv6 = subnet.includes(':');
    return {
      protocol: isIpv6 ? ('ipv6' as const) : ('ip' as const),
      priority: isIpv6 ? 2 : 1,
      keys: subnetKeys(subnet, side),
    };
  });

const EVERYTHING: U32Key[] = [{ value: 0, mask: 0, offset: 0 }];

/** What the reference calls the flow that it redirects; nothing looks at it. */
const FLOW = 0x1_0001;
