import { changeIptables, type IptablesPlace } from '../filter/iptables-change.ts';
import { variantsHolding } from '../filter/iptables-variant.ts';
import { IP_FAMILIES, type IpFamily, type IptablesTable } from '../kernel/iptables.ts';
import type { NftSocket } from '../kernel/nft-socket.ts';
import { chainRemoval } from './owned-chain.ts';

/**
 * Takes a chain of ours and the jumps to it away, from whichever variant of iptables has them. Returns whether
 * there were any. Rejects with CniError 100.
 */
export const removeOwnedChain = async (
  socket: NftSocket,
  table: IptablesPlace['table'],
  chain: string,
  feature: string,
  families: readonly IpFamily[] = IP_FAMILIES,
): Promise<boolean> => {
  let changed = false;
  for (const family of families) {
    for (const variant of variantsHolding(socket, family, chain, table)) {
      const plan = (present: IptablesTable): string[] | undefined => {
        const commands = chainRemoval(chain, present);
        if (commands !== undefined) changed = true;
        return commands;
      };
      await changeIptables({ socket, family, variant, table }, { plan, feature, attempts: CHAIN_ATTEMPTS });
    }
  }
  return changed;
};

/** Somebody else may change the table between reading and writing. */
export const CHAIN_ATTEMPTS = 4;
