import { sameCidr } from '../../shared/attachment/address-compare.ts';
import { containerNetnsIfPresent } from '../../shared/attachment/container-netns.ts';
import type { Call } from '../../shared/cni/plugin.ts';
import { readAddresses } from '../../shared/kernel/address.ts';
import { IpBatch, runIpBatch } from '../../shared/kernel/ip-batch.ts';
import { readLink } from '../../shared/kernel/link.ts';
import { readRoutes } from '../../shared/kernel/route.ts';
import { readRules } from '../../shared/kernel/rule.ts';
import { withLock } from '../../shared/store/lock.ts';
import { addressesOf, tableForRemoval } from './config.ts';
import { deleteRule, MAIN_TABLE, sourceOf } from './plan.ts';
import { deleteRoute } from './route-lines.ts';

/**
 * DEL: removes the rules from the interface's addresses, and its routes in the tables these look into, which
 * as a rule go with the interface. Without a netns there is nothing: all of it was inside.
 */
export const delSbr = async (call: Call): Promise<void> => {
  const netns = containerNetnsIfPresent(call.env);
  if (netns === undefined) return;
  await withLock(netns.reference, () => netns.run(() => remove(call)));
};

const remove = ({ env, config }: Call): void => {
  const { ifname } = env;
  const link = readLink(ifname);
  const sources = (link === undefined ? [] : readAddresses(link.index)).map(({ address }) =>
    sourceOf(address),
  );
  // An interface that is gone, or has lost its addresses, leaves its rules.
  const named = config.prevResult === undefined ? [] : addressesOf(config.prevResult, ifname);
  sources.push(...named.map(({ address }) => sourceOf(address)));
  const table = tableForRemoval(config.json);
  for (const family of [4, 6] as const) {
    const batch = new IpBatch();
    const rules = (readRules(family) ?? []).filter(
      (rule) =>
        rule.src !== undefined &&
        sources.some((source) => sameCidr(source, rule.src ?? '')) &&
        (table === undefined || rule.table === table),
    );
    const tables = new Set(rules.map((rule) => rule.table).filter((number) => number !== MAIN_TABLE));
    const routes =
      table === undefined && link !== undefined ? readRoutes(family, { linkIndex: link.index }) : [];
    for (const route of routes) {
      if (tables.has(route.table)) deleteRoute(batch, route, ifname, route.table);
    }
    // Last, as it is by them that another DEL finds the tables after one that failed half-way.
    for (const rule of rules) deleteRule(batch, rule);
    runIpBatch(batch, `could not remove the rules from the addresses of "${ifname}"`, family);
  }
};
