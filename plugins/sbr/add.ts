import { sameCidr } from '../../shared/attachment/address-compare.ts';
import { requireContainerNetns } from '../../shared/attachment/container-netns.ts';
import { type Undo, withUndo } from '../../shared/attachment/undo.ts';
import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import type { Call } from '../../shared/cni/plugin.ts';
import type { IpConfig, Result } from '../../shared/cni/types.ts';
import { runCommand } from '../../shared/kernel/command.ts';
import { runIpBatch } from '../../shared/kernel/ip-batch.ts';
import { readLink } from '../../shared/kernel/link.ts';
import type { Netns } from '../../shared/kernel/netns.ts';
import { readRoutes } from '../../shared/kernel/route.ts';
import { type RuleState, readRules } from '../../shared/kernel/rule.ts';
import { withLock } from '../../shared/store/lock.ts';
import { parseConfig, prevResultOf, requireAddresses, type SbrConfig } from './config.ts';
import { MAIN_TABLE, planSbr, type SbrPlan, type SbrState, sourceOf } from './plan.ts';

/** ADD: routes what the container sends from an interface's addresses by that interface; passes prevResult on. */
export const addSbr = (call: Call): Promise<Result> =>
  withUndo(async (undo) => {
    const config = parseConfig(call);
    const prevResult = prevResultOf(call);
    const addresses = requireAddresses(prevResult, call.env.ifname);
    const netns = requireContainerNetns(call.env);
    const lock = netns.reference;
    // Two interfaces of a container must not take the same table. The reference locks this file, too.
    await withLock(lock, () => apply(call, config, addresses, netns, undo), { checkpoint: call.checkpoint });
    return prevResult;
  });

const apply = async (
  call: Call,
  config: SbrConfig,
  addresses: IpConfig[],
  netns: Netns,
  undo: Undo,
): Promise<void> => {
  const state = netns.run(() => readState(call.env.ifname, addresses));
  for (const plan of planSbr(config, addresses, state)) {
    await call.checkpoint();
    undo.add(`restore the IPv${plan.family} routes`, () => takeBack(plan, netns));
    const context = `could not route by the addresses of "${call.env.ifname}"`;
    netns.run(() => runIpBatch(plan.apply, context, plan.family));
  }
  await call.checkpoint();
};

/** What was not carried out cannot be taken back, and is gone over. */
const takeBack = ({ family, undo }: SbrPlan, netns: Netns): void => {
  const args = [`-${family}`, '-force', '-batch', '-'];
  netns.run(() => runCommand('ip', args, { stdin: undo.toString() }));
};

/** Throws CniError 7, 103 or 104 when it is not one to start from. */
const readState = (ifname: string, addresses: IpConfig[]): SbrState => {
  const link = readLink(ifname);
  if (link === undefined) {
    throw new CniError(ErrorCode.invalidNetworkConfig, `the container has no interface "${ifname}"`, {
      details: 'Put sbr behind the plugin that makes it.',
    });
  }
  const rules = ([4, 6] as const).flatMap((family) => readRules(family) ?? requireNone(family, addresses));
  requireNoRules(rules, addresses);
  const routes = ([4, 6] as const).flatMap((family) => readRoutes(family));
  return {
    ifname,
    routes: routes.filter(({ linkIndex, table }) => linkIndex === link.index && table === MAIN_TABLE),
    usedTables: new Set([...rules, ...routes].map(({ table }) => table)),
  };
};

const requireNone = (family: 4 | 6, addresses: IpConfig[]): RuleState[] => {
  if (!addresses.some(({ address }) => address.includes(':') === (family === 6))) return [];
  throw new CniError(ErrorCode.unsupportedByKernel, `the kernel has no routing rules for IPv${family}`, {
    details: 'It was built without CONFIG_IP_MULTIPLE_TABLES or CONFIG_IPV6_MULTIPLE_TABLES.',
  });
};

/** A second rule would go before the first, into a table without the routes, which have moved. */
const requireNoRules = (rules: RuleState[], addresses: IpConfig[]): void => {
  for (const { address } of addresses) {
    const rule = rules.find(({ src }) => src !== undefined && sameCidr(src, sourceOf(address)));
    if (rule === undefined) continue;
    throw new CniError(
      ErrorCode.conflict,
      `the container has a rule from ${sourceOf(address)} already, to table ${rule.table}`,
      { details: 'DEL the attachment first, or remove the rule.' },
    );
  }
};
