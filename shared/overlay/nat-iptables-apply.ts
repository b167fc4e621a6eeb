import type { IptablesPlace } from '../filter/iptables-change.ts';
import { chooseIptablesVariant } from '../filter/iptables-variant.ts';
import {
  hasIptables,
  IP_FAMILIES,
  iptablesFailure,
  readIptablesTable,
  startIptablesTransaction,
} from '../kernel/iptables.ts';
import type { NftSocket } from '../kernel/nft-socket.ts';
import { iptablesNat, natChain } from './nat-iptables.ts';
import { type NatPlan, natFamilies } from './nat-plan.ts';
import { chainCommands } from './owned-chain.ts';
import { CHAIN_ATTEMPTS, removeOwnedChain } from './owned-chain-apply.ts';

/**
 * Gives the nat table what the plan says, with one `iptables-restore` for each family in which something
 * differs. Returns whether something did. Rejects with CniError 100.
 */
export const syncIptablesNat = async (socket: NftSocket, plan: NatPlan): Promise<boolean> => {
  const variant = chooseIptablesVariant(socket);
  const families = natFamilies(plan);
  let changed = false;
  for (const family of IP_FAMILIES) {
    if (families.includes(family)) {
      const place: IptablesPlace = { socket, family, variant, table: 'nat' };
      if (await syncFamily(place, plan)) changed = true;
    } else if (
      hasIptables(family, variant) &&
      (await removeOwnedChain(socket, 'nat', natChain(plan.vni), FEATURE, [family]))
    ) {
      changed = true;
    }
  }
  return changed;
};

/** Whether `syncIptablesNat` would write anything. Throws CniError 100. */
export const iptablesNatDiffers = (socket: NftSocket, plan: NatPlan): boolean => {
  const variant = chooseIptablesVariant(socket);
  return natFamilies(plan).some((family) => {
    const table = readIptablesTable(family, variant, 'nat');
    return [true, false].every(
      (random) => chainCommands(iptablesNat(plan, family, random), table) !== undefined,
    );
  });
};

/** Takes chain and jumps away, from whichever variant has them. Returns whether there were any. */
export const removeIptablesNat = (socket: NftSocket, vni: number): Promise<boolean> =>
  removeOwnedChain(socket, 'nat', natChain(vni), FEATURE);

const FEATURE = 'NAT of what leaves the overlay';

/** An iptables-restore before 1.6.2 says `unknown option "--random-fully"`. */
let knowsRandomFully = true;

const syncFamily = async (place: IptablesPlace, plan: NatPlan): Promise<boolean> => {
  const { socket, family, variant, table } = place;
  for (let attempt = 1; ; attempt++) {
    const wanted = iptablesNat(plan, family, knowsRandomFully);
    const commands = chainCommands(wanted, readIptablesTable(family, variant, table));
    if (commands === undefined) return attempt > 1;
    const result = await startIptablesTransaction(socket, family, variant, table, commands).result();
    if (result.exitCode === 0) return true;
    if (/random-fully/.test(result.stderr)) knowsRandomFully = false;
    else if (attempt === CHAIN_ATTEMPTS) throw iptablesFailure(family, variant, result, FEATURE);
  }
};
