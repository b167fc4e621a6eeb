import { allDone } from '../filter/all-done.ts';
import { ADDITION_MS, changeIptables, DELETION_MS } from '../filter/iptables-change.ts';
import {
  IP_FAMILIES,
  type IptablesTable,
  readIptablesTable,
  startIptablesTransaction,
} from '../kernel/iptables.ts';
import type { NftSocket } from '../kernel/nft-socket.ts';
import {
  deletions,
  type FirewallRules,
  firewallLacks,
  missingFirewall,
  podRules,
  removedFirewall,
} from './iptables-rules.ts';
import {
  type FilterTable,
  glanceAtTable,
  holdsAddresses,
  holdsAllAddresses,
  tablesWithPods,
} from './iptables-state.ts';

/** What goes into one filter table for a pod. */
export interface IptablesPart {
  table: FilterTable;
  /** Those of `wanted`. */
  addresses: string[];
  wanted: FirewallRules;
}

/**
 * Puts the rules into all of the tables, at once: one `iptables-restore` for each, and an `iptables-save`
 * before it where netlink cannot tell what is there. The children run when this returns, but for those that
 * have to look first. Rejects with CniError 100; undo with `removeIptablesPods`.
 */
export const applyIptablesParts = (socket: NftSocket, parts: readonly IptablesPart[]): Promise<void> =>
  allDone(parts.map((part) => applyPart(socket, part)));

/**
 * Takes the rules with these addresses away, from whichever variant has them; the chains stay for other pods.
 * No child is started where netlink and /proc show that there is none. Rejects with CniError 100.
 */
export const removeIptablesPods = (socket: NftSocket, addresses: readonly string[]): Promise<void> =>
  allDone(
    IP_FAMILIES.flatMap((family) => {
      const ours = addresses.filter((address) => address.includes(':') === (family === 6));
      return ours.length === 0
        ? []
        : tablesWithPods(socket, family).map((table) => removeFrom(socket, table, ours));
    }),
  );

/** What the tables lack, each for a reader. A child for each table whose state netlink cannot tell. */
export const findIptablesPartLacks = (parts: readonly IptablesPart[]): string[] =>
  parts.flatMap(({ table: { family, variant }, wanted }) =>
    firewallLacks(wanted, readIptablesTable(family, variant, 'filter')).map((lack) => `IPv${family} ${lack}`),
  );

const applyPart = async (socket: NftSocket, { table, addresses, wanted }: IptablesPart): Promise<void> => {
  const glance = glanceAtTable(socket, table, wanted, addresses);
  const commands = glance === undefined ? undefined : missingFirewall(wanted, glance);
  if (commands !== undefined) {
    const isDone = (): boolean =>
      table.visible && addresses.length > 0 && holdsAllAddresses(socket, table.family, addresses);
    const { family, variant } = table;
    const child = startIptablesTransaction(socket, family, variant, 'filter', commands);
    const result = await child.settled(isDone, ADDITION_MS);
    if (result === undefined || result.exitCode === 0) return;
  }
  await change(socket, table, (state) => missingFirewall(wanted, state));
};

const removeFrom = async (socket: NftSocket, table: FilterTable, addresses: string[]): Promise<void> => {
  const { family, variant, visible } = table;
  const rules = podRules(addresses);
  if (!visible) {
    await change(socket, table, (state) => removedFirewall(rules, state));
    return;
  }
  if (!holdsAddresses(socket, family, addresses)) return;
  const isDone = (): boolean => !holdsAddresses(socket, family, addresses);
  const child = startIptablesTransaction(socket, family, variant, 'filter', deletions(rules));
  const result = await child.settled(isDone, DELETION_MS);
  if (result === undefined || (result.exitCode === 0 && isDone())) return;
  await change(socket, table, (state) => removedFirewall(rules, state), isDone);
};

/** Changes the filter table by a plan that is made from what is there. */
const change = (
  socket: NftSocket,
  { family, variant }: FilterTable,
  plan: (state: IptablesTable) => string[] | undefined,
  isDone?: () => boolean,
): Promise<void> =>
  changeIptables(
    { socket, family, variant, table: 'filter' },
    { plan, ...(isDone && { isDone }), feature: 'firewall', attempts: 4 },
  );
