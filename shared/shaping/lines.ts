import type { IpBatch } from '../kernel/ip-batch.ts';
import type { TcBatch } from '../kernel/tc-batch.ts';
import {
  type FilterPlan,
  type Ifb,
  INGRESS_PRIORITIES,
  ingressFilters,
  ROOT_HANDLE,
  rootFilters,
  SHAPED_CLASS,
  type ShapingPlan,
} from './plan.ts';
import type { TokenBucket } from './token-bucket.ts';

/**
 * `ip` lines that make the ifb. Without a queue of its own (length 0, as the reference has it): the token
 * bucket brings one.
 */
export const addIfb = (batch: IpBatch, { name, alias, mac }: Ifb, mtu: number): void => {
  batch.add('link', 'add', 'name', name, 'address', mac, 'mtu', mtu, 'txqueuelen', 0, 'up', 'type', 'ifb');
  batch.add('link', 'set', 'dev', name, 'alias', alias);
};

/** `tc` lines for the limit of what goes to the pod, at a root that has nothing but the kernel's own. */
export const addRoot = (batch: TcBatch, plan: ShapingPlan): void => {
  const { device, ingress, selection } = plan;
  if (ingress === undefined) return;
  if (selection === undefined) {
    addBucket(batch, device, ingress);
    return;
  }
  const { rate, burst, limit } = ingress;
  const minor = (SHAPED_CLASS & 0xffff).toString(16);
  const standard = selection.shaped ? 0 : minor;
  const root = ['dev', device, 'root', 'handle', classText(ROOT_HANDLE)];
  batch.add('qdisc', 'add', ...root, 'htb', 'default', standard, 'direct_qlen', DIRECT_QUEUE);
  // The quantum is for several classes that share, but without one the kernel's log has a warning.
  batch.add(
    ...['class', 'add', 'dev', device, 'parent', classText(ROOT_HANDLE), 'classid', classText(SHAPED_CLASS)],
    ...[
      'htb',
      'rate',
      `${rate}bps`,
      'ceil',
      `${rate}bps`,
      'burst',
      burst,
      'cburst',
      burst,
      'quantum',
      QUANTUM,
    ],
  );
  batch.add(
    ...['qdisc', 'add', 'dev', device, 'parent', classText(SHAPED_CLASS), 'handle', `${minor}:`],
    ...['bfifo', 'limit', limit],
  );
  for (const filter of rootFilters(plan)) addFilter(batch, device, classText(ROOT_HANDLE), filter);
};

/** `tc` lines that redirect what the pod sends, in the interface's `ingress`, or `clsact` where that is there. */
export const addIngressFilters = (batch: TcBatch, plan: ShapingPlan, kind = 'ingress'): void => {
  for (const filter of ingressFilters(plan)) {
    addFilter(batch, plan.device, ingressParent(kind), filter, plan.egress?.ifb.name);
  }
};

export const addIngressQdisc = (batch: TcBatch, device: string): TcBatch =>
  batch.add('qdisc', 'add', 'dev', device, 'handle', 'ffff:', 'ingress');

/** `tc` line for a token bucket at the root of a device. */
export const addBucket = (batch: TcBatch, device: string, { rate, burst, limit }: TokenBucket): void => {
  batch.add(
    ...['qdisc', 'add', 'dev', device, 'root', 'handle', classText(ROOT_HANDLE)],
    ...['tbf', 'rate', `${rate}bps`, 'burst', burst, 'limit', limit],
  );
};

export const deleteRoot = (batch: TcBatch, device: string): TcBatch =>
  batch.add('qdisc', 'del', 'dev', device, 'root');

/** Removes `ingress` with all its filters. */
export const deleteIngressQdisc = (batch: TcBatch, device: string): TcBatch =>
  batch.add('qdisc', 'del', 'dev', device, 'ingress');

/** Removes our filters for what comes in, as far as they are there, and leaves what others have beside them. */
export const deleteIngressFilters = (
  batch: TcBatch,
  device: string,
  kind: string,
  present: number[],
): void => {
  for (const priority of INGRESS_PRIORITIES.filter((own) => present.includes(own))) {
    batch.add('filter', 'del', 'dev', device, 'parent', ingressParent(kind), 'prio', priority);
  }
};

/** As `tc` writes a handle or class: `1:`, `1:30`. */
const classText = (id: number): string => {
  const minor = id & 0xffff;
  return `${(id >>> 16).toString(16)}:${minor === 0 ? '' : minor.toString(16)}`;
};

const addFilter = (
  batch: TcBatch,
  device: string,
  parent: string,
  { protocol, priority, keys, classId, redirects }: FilterPlan,
  target?: string,
): void => {
  const matches = keys.flatMap(({ value, mask, offset }) => [
    ...['match', 'u32', hex(value), hex(mask)],
    ...(offset === 0 ? [] : ['at', offset]),
  ]);
  const action =
    redirects && target !== undefined ? ['action', 'mirred', 'egress', 'redirect', 'dev', target] : [];
  batch.add(
    ...['filter', 'add', 'dev', device, 'parent', parent, 'protocol', protocol, 'prio', priority],
    ...['u32', ...matches, 'flowid', classText(classId), ...action],
  );
};

const hex = (word: number): string => `0x${word.toString(16)}`;

const ingressParent = (kind: string): string => (kind === 'clsact' ? 'ffff:fff2' : 'ffff:');

/** Packets, as many as a veth would have. */
const DIRECT_QUEUE = 1000;

const QUANTUM = 1514;
