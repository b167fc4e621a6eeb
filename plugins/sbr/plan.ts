import { networkCidr } from '../../shared/attachment/address-compare.ts';
import type { IpConfig } from '../../shared/cni/types.ts';
import { contains, parseAddress, parseCidr } from '../../shared/kernel/address-math.ts';
import { IpBatch } from '../../shared/kernel/ip-batch.ts';
import type { RouteState } from '../../shared/kernel/route.ts';
import { SCOPE_LINK } from '../../shared/kernel/route.ts';
import type { RuleState } from '../../shared/kernel/rule.ts';
import type { SbrConfig } from './config.ts';
import { deleteRoute, replaceRoute } from './route-lines.ts';

/** What the container's netns has before an ADD. */
export interface SbrState {
  ifname: string;
  /** The interface's routes in the main table. */
  routes: RouteState[];
  /** Tables that a rule looks into or that have a route. */
  usedTables: ReadonlySet<number>;
}

/**
 * An ADD's batch for one family, as `ip rule` takes no other in one run, and what takes it back line by line,
 * in as far as it was carried out.
 */
export interface SbrPlan {
  family: 4 | 6;
  apply: IpBatch;
  undo: IpBatch;
}

/** `table main` */
export const MAIN_TABLE = 254;

const FIRST_TABLE = 100;

/**
 * Source-based routing for an interface: for each address a rule that looks into a table of its own, which
 * has a default route by the gateway and the interface's routes that go with the address; then these
 * leave the main table. With `table` there are only the rules.
 *
 * Other than in the reference, IPv6's link-local routes stay in the main table, too, as link-local
 * traffic has no rule; a route that goes with no address is copied to every table of its family and not
 * lost; and routes of a family without an address stay as they are.
 */
export const planSbr = (config: SbrConfig, addresses: IpConfig[], state: SbrState): SbrPlan[] => {
  const tables = freeTables(addresses.length, state.usedTables);
  const placed = addresses.map((entry, index) => ({
    ...entry,
    table: config.table ?? tables[index] ?? FIRST_TABLE,
  }));
  return ([4, 6] as const).flatMap((family) => {
    const own = placed.filter(({ address }) => familyOf(address) === family);
    const routes = state.routes.filter(({ dst }) => familyOf(dst) === family);
    return own.length === 0 ? [] : [planFamily(config, family, own, { ...state, routes })];
  });
};

const planFamily = (config: SbrConfig, family: 4 | 6, addresses: Placed[], state: SbrState): SbrPlan => {
  const plan = { family, apply: new IpBatch(), undo: new IpBatch() };
  for (const entry of addresses) {
    addRule(plan, entry);
    if (config.table === undefined) addTable(plan, config, entry, addresses, state);
  }
  if (config.table === undefined) leaveMainTable(plan, config, addresses, state);
  return plan;
};

/** An address with its table. */
type Placed = IpConfig & { table: number };

/** A rule's source for an address: it alone. */
export const sourceOf = (address: string): string => {
  const [text = ''] = address.split('/');
  return `${text}/${text.includes(':') ? 128 : 32}`;
};

/** Takes a rule away. */
export const deleteRule = (batch: IpBatch, { src, table, priority }: RuleState): IpBatch =>
  batch.add('rule', 'del', 'from', src, 'table', table, 'pref', priority);

const addRule = ({ apply, undo }: SbrPlan, { address, table }: Placed): void => {
  const rule = ['from', sourceOf(address), 'table', table];
  apply.add('rule', 'add', ...rule);
  undo.add('rule', 'del', ...rule);
};

const freeTables = (count: number, used: ReadonlySet<number>): number[] => {
  const tables: number[] = [];
  for (let table = FIRST_TABLE; tables.length < count; table += 1) if (!used.has(table)) tables.push(table);
  return tables;
};

const addTable = (
  plan: SbrPlan,
  { gateways }: SbrConfig,
  { address, gateway, table }: Placed,
  addresses: Placed[],
  { ifname, routes }: SbrState,
): void => {
  const via = gateways[plan.family] ?? gateway;
  const dst = plan.family === 4 ? '0.0.0.0/0' : '::/0';
  if (via !== undefined) plan.apply.add('route', 'add', dst, 'via', via, 'dev', ifname, 'table', table);
  const own = routes.filter(
    (route) => goesWith(route, address) || !addresses.some((other) => goesWith(route, other.address)),
  );
  // A gateway must be reachable by a route that is there already; what is not copied yet is in the main table.
  for (const route of own) replaceRoute(plan.apply, route, ifname, table);
  for (const route of own) deleteRoute(plan.undo, route, ifname, table);
  if (via !== undefined) plan.undo.add('route', 'del', dst, 'via', via, 'dev', ifname, 'table', table);
};

const leaveMainTable = (
  { family, apply, undo }: SbrPlan,
  { addSourceHints }: SbrConfig,
  addresses: Placed[],
  { ifname, routes }: SbrState,
): void => {
  if (addSourceHints) {
    for (const { address } of addresses) {
      const [src = ''] = address.split('/');
      const hint = [networkCidr(address), 'dev', ifname, 'src', src];
      apply.add('route', 'replace', ...hint, ...(family === 4 ? ['scope', 'link'] : []));
      undo.add('route', 'del', ...hint);
    }
  }
  const leaving = routes.filter(
    ({ dst, scope }) => !isLinkLocal(dst) && !(addSourceHints && scope === SCOPE_LINK),
  );
  for (const route of leaving) deleteRoute(apply, route, ifname, MAIN_TABLE);
  const back = routes.filter(({ dst }) => !isLinkLocal(dst));
  for (const route of back.toSorted(directFirst)) replaceRoute(undo, route, ifname, MAIN_TABLE);
};

/** The reference's rule: by source or gateway, or a route that has neither. */
const goesWith = ({ src, gateway }: RouteState, address: string): boolean =>
  (src === undefined && gateway === undefined) || [src, gateway].some((text) => isIn(text, address));

const isIn = (text: string | undefined, cidr: string): boolean => {
  const subnet = parseCidr(cidr);
  const address = text === undefined ? undefined : parseAddress(text);
  return subnet !== undefined && address !== undefined && contains(subnet, address);
};

const directFirst = (a: RouteState, b: RouteState): number =>
  Number(a.gateway !== undefined) - Number(b.gateway !== undefined);

const isLinkLocal = (dst: string): boolean => /^fe[89ab]/i.test(dst);

const familyOf = (text: string): 4 | 6 => (text.includes(':') ? 6 : 4);
