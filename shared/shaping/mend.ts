import { IpBatch } from '../kernel/ip-batch.ts';
import type { LinkState } from '../kernel/link.ts';
import { TcBatch } from '../kernel/tc-batch.ts';
import type { FilterState, QdiscState } from '../kernel/tc-message.ts';
import type { ShapingLack } from './lacks.ts';
import {
  addBucket,
  addIfb,
  addIngressFilters,
  addIngressQdisc,
  addRoot,
  deleteIngressFilters,
  deleteIngressQdisc,
  deleteRoot,
} from './lines.ts';
import { INGRESS_PRIORITIES, type ShapingPlan } from './plan.ts';
import { nothingYet, type ShapingState } from './state.ts';

/**
 * What `ip` and then `tc` have to do so that nothing is lacking. `ip` may be a batch that does other things
 * before, such as making the veth.
 */
export const mendShaping = (
  plan: ShapingPlan,
  state: ShapingState,
  lacks: readonly ShapingLack[],
  ip = new IpBatch(),
): { ip: IpBatch; tc: TcBatch } => {
  const tc = new TcBatch();
  const parts = new Set(lacks.map(({ part }) => part));
  if (parts.has('root')) {
    if (isSet(state.root)) deleteRoot(tc, plan.device);
    addRoot(tc, plan);
  }
  const { egress } = plan;
  if (egress === undefined) return { ip, tc };
  const { ifb, bucket } = egress;
  const isNew = parts.has('ifb');
  if (isNew) {
    if (state.ifb?.kind === 'ifb') ip.add('link', 'delete', 'dev', ifb.name);
    addIfb(ip, ifb, plan.mtu);
  }
  if (isNew || parts.has('ifb root')) {
    if (!isNew && isSet(state.ifbRoot)) deleteRoot(tc, ifb.name);
    addBucket(tc, ifb.name, bucket);
  }
  // A filter names the ifb by its index.
  if (isNew || parts.has('ingress')) {
    const isLeft = removeIngress(tc, plan.device, state);
    if (!isLeft) addIngressQdisc(tc, plan.device);
    addIngressFilters(tc, plan, isLeft ? state.ingress?.kind : undefined);
  }
  return { ip, tc };
};

/**
 * The same for an interface that is about to be made, perhaps by earlier lines of `ip`; `ifb` is what has the
 * ifb's name already, left by a killed ADD.
 */
export const newShaping = (
  plan: ShapingPlan,
  ifb: LinkState | undefined,
  ip = new IpBatch(),
): { ip: IpBatch; tc: TcBatch } => {
  const parts = ['root', 'ifb', 'ifb root', 'ingress'] as const;
  const lacks = parts.map((part) => ({ part, what: '' }));
  return mendShaping(plan, { ...nothingYet, ifb }, lacks, ip);
};

/**
 * Lines that take our filters away, and `ingress` with them unless others use it; false when the interface
 * is left without a place for filters.
 */
export const removeIngress = (
  tc: TcBatch,
  device: string,
  { ingress, ingressFilters: filters }: Pick<ShapingState, 'ingress' | 'ingressFilters'>,
): boolean => {
  if (ingress === undefined) return false;
  if (ingress.kind === 'ingress' && !filters.some(isForeign)) {
    deleteIngressQdisc(tc, device);
    return false;
  }
  const own = filters.filter((filter) => !isForeign(filter));
  deleteIngressFilters(
    tc,
    device,
    ingress.kind,
    own.map(({ priority }) => priority),
  );
  return true;
};

/** Whether a filter for what comes in cannot be ours. */
const isForeign = ({ kind, priority }: FilterState): boolean =>
  kind !== 'u32' || !INGRESS_PRIORITIES.includes(priority);

/** Whether somebody set it, as opposed to the kernel's own. */
export const isSet = (qdisc: QdiscState | undefined): boolean => qdisc !== undefined && qdisc.handle !== 0;
