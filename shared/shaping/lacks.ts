import type { FilterState, QdiscState } from '../kernel/tc-message.ts';
import {
  type FilterPlan,
  ingressFilters,
  ROOT_HANDLE,
  rootFilters,
  SHAPED_CLASS,
  type ShapingPlan,
} from './plan.ts';
import type { ShapingState } from './state.ts';
import { isBucket, type TokenBucket } from './token-bucket.ts';

/** A place where the kernel has something else than the plan. */
export interface ShapingLack {
  part: 'device' | 'root' | 'ifb' | 'ifb root' | 'ingress';
  /** For a reader: `"veth12ab" does not limit what goes to the container`. */
  what: string;
}

/** What the kernel has not, or has otherwise; what it has besides is left alone. */
export const findShapingLacks = (plan: ShapingPlan, state: ShapingState): ShapingLack[] => {
  if (state.device === undefined) {
    return [{ part: 'device', what: `the host interface "${plan.device}" is missing` }];
  }
  return [...rootLacks(plan, state), ...ifbLacks(plan, state), ...ingressLacks(plan, state)];
};

const rootLacks = (plan: ShapingPlan, state: ShapingState): ShapingLack[] => {
  const { device, ingress, selection } = plan;
  if (ingress === undefined) return [];
  const problem =
    selection === undefined
      ? bucketProblem(ingress, state.root)
      : (htbProblem(plan, ingress, state) ?? filterProblem(rootFilters(plan), state.rootFilters, undefined));
  if (problem === undefined) return [];
  return [{ part: 'root', what: `what "${device}" sends to the container: ${problem}` }];
};

const ifbLacks = ({ egress }: ShapingPlan, { ifb, ifbRoot }: ShapingState): ShapingLack[] => {
  if (egress === undefined) return [];
  const { name } = egress.ifb;
  if (ifb === undefined) return [{ part: 'ifb', what: `the ifb "${name}" is missing` }];
  if (ifb.kind !== 'ifb') return [{ part: 'ifb', what: `"${name}" is no ifb` }];
  if (!ifb.up) return [{ part: 'ifb', what: `the ifb "${name}" is down` }];
  const problem = bucketProblem(egress.bucket, ifbRoot);
  if (problem === undefined) return [];
  return [{ part: 'ifb root', what: `what the container sends by "${name}": ${problem}` }];
};

const ingressLacks = (plan: ShapingPlan, state: ShapingState): ShapingLack[] => {
  if (plan.egress === undefined) return [];
  const { name } = plan.egress.ifb;
  const problem = filterProblem(ingressFilters(plan), state.ingressFilters, state.ifb?.index);
  if (problem === undefined) return [];
  return [{ part: 'ingress', what: `"${plan.device}" to the ifb "${name}": ${problem}` }];
};

const bucketProblem = (wanted: TokenBucket, qdisc: QdiscState | undefined): string | undefined => {
  if (qdisc?.tbf === undefined) return 'there is no token bucket (tbf)';
  const { rate, limit, bufferTicks } = qdisc.tbf;
  return rateProblem(wanted, rate) ?? burstProblem(wanted, bufferTicks, limit);
};

const htbProblem = (
  { selection }: ShapingPlan,
  wanted: TokenBucket,
  { root, classes, classQueue }: ShapingState,
): string | undefined => {
  if (root?.htb === undefined || root.handle !== ROOT_HANDLE) return 'there is no htb';
  const shaped = classes.find(({ handle }) => handle === SHAPED_CLASS);
  if (shaped === undefined) return 'the class with the limit is missing';
  if (root.htb.defaultClass !== (selection?.shaped ? 0 : SHAPED_CLASS & 0xffff)) {
    return 'the class for other subnets is not the configured one';
  }
  if (classQueue?.kind !== 'bfifo') return 'the queue of the class is missing';
  return (
    rateProblem(wanted, Math.max(shaped.rate, shaped.ceil)) ??
    burstProblem(wanted, shaped.bufferTicks, classQueue.limit)
  );
};

const rateProblem = (wanted: TokenBucket, rate: number): string | undefined =>
  rate === wanted.rate ? undefined : `the rate is ${8 * rate} bits per second, not ${8 * wanted.rate}`;

const burstProblem = (
  wanted: TokenBucket,
  bufferTicks: number,
  limit: number | undefined,
): string | undefined =>
  isBucket(wanted, { bufferTicks, limit })
    ? undefined
    : `the burst or the queue's limit is not that of ${8 * wanted.burst} bits`;

/** The wanted filters must be there in their order; others may be among them. */
const filterProblem = (
  wanted: readonly FilterPlan[],
  present: readonly FilterState[],
  target: number | undefined,
): string | undefined => {
  let from = 0;
  let missing = 0;
  for (const plan of wanted) {
    const at = present.findIndex((filter, index) => index >= from && isFilter(plan, filter, target));
    if (at < 0) missing += 1;
    else from = at + 1;
  }
  return missing === 0 ? undefined : `${missing} of ${wanted.length} filters are missing`;
};

const isFilter = (plan: FilterPlan, filter: FilterState, target: number | undefined): boolean =>
  filter.kind === 'u32' &&
  filter.priority === plan.priority &&
  filter.protocol === ETHER_TYPES[plan.protocol] &&
  (plan.redirects
    ? filter.redirectsTo === target
    : filter.redirectsTo === undefined && filter.classId === plan.classId) &&
  filter.keys.length === plan.keys.length &&
  plan.keys.every((key, index) => {
    const other = filter.keys[index];
    return key.value === other?.value && key.mask === other.mask && key.offset === other.offset;
  });

const ETHER_TYPES = { all: 0x0003, ip: 0x0800, ipv6: 0x86dd };
