import { removeNftRules } from '../filter/nft-transaction.ts';
import type { Owner } from '../filter/owner.ts';
import { readNftRules } from '../kernel/nft-read.ts';
import type { NftSocket } from '../kernel/nft-socket.ts';

const TABLE = 'cni_hostport';
const CHAINS = ['hostports', 'hostip_hostports', 'masquerading'];

/**
 * For the DEL of a pod that podwire has no record of: takes away what the reference's nftables backend (from
 * its 1.6 on) made: rules with the container's id for a comment, in a table for each family (plugins
 * `plugins/meta/portmap/portmap_nftables.go`). Looks by netlink and starts a child only where there are such
 * rules. Rejects with CniError 100.
 */
export const removeReferenceHostports = (socket: NftSocket, { containerId }: Owner): Promise<void> =>
  removeNftRules(socket, () =>
    (['ip', 'ip6'] as const).flatMap((family) =>
      CHAINS.flatMap((chain) =>
        readNftRules(socket, family, TABLE, chain)
          .filter(({ comment }) => comment === containerId)
          .map(({ handle }) => `delete rule ${family} ${TABLE} ${chain} handle ${handle}`),
      ),
    ),
  );
