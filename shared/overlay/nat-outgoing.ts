import { CniError, ErrorCode } from '../cni/errors.ts';
import { detectBackend, type FilterBackend } from '../filter/backend.ts';
import { withNftSocket } from '../kernel/nft-socket.ts';
import { iptablesNatDiffers, removeIptablesNat, syncIptablesNat } from './nat-iptables-apply.ts';
import { nftNatDiffers, removeNftNat, syncNftNat } from './nat-nft.ts';
import { type OutgoingNat, planNat } from './nat-plan.ts';

export interface NatSync {
  backend: FilterBackend;
  /** Whether something had to be written. */
  changed: boolean;
}

/**
 * Masquerades what `sources` send to anything but each other, `excluded`, multicast and IPv6 link-local
 * addresses. What a pod sends to another node's own address is masqueraded, too, unless that is in
 * `excluded`: a node drops what comes from a pod's address over a link that leads elsewhere (strict
 * rp_filter, a cloud's check of source addresses). Idempotent, and puts back what others took away; nothing
 * is written where nothing differs. The backend is nftables where that works, unless given. Rejects with
 * CniError 100, or 104 when the kernel lacks what the given backend needs.
 */
export const syncOutgoingNat = async (
  nat: OutgoingNat & { backend?: FilterBackend | undefined },
): Promise<NatSync> => {
  const plan = planNat({ ...nat, excluded: [...nat.excluded, ...nat.sources] });
  return withNftSocket(async (socket): Promise<NatSync> => {
    const backend = nat.backend ?? detectBackend(socket);
    try {
      const sync = backend === 'nftables' ? syncNftNat : syncIptablesNat;
      return { backend, changed: await sync(socket, plan) };
    } catch (error) {
      // The kernel may have nftables without what NAT needs: only a try shows it.
      const unsupported = error instanceof CniError && error.code === ErrorCode.unsupportedByKernel;
      if (!unsupported || nat.backend !== undefined) throw error;
      return { backend: 'iptables', changed: await syncIptablesNat(socket, plan) };
    }
  });
};

/** Whether all that `syncOutgoingNat` makes is in place. Only reads. Rejects with CniError 100. */
export const hasOutgoingNat = (
  nat: OutgoingNat & { backend?: FilterBackend | undefined },
): Promise<boolean> => {
  const plan = planNat({ ...nat, excluded: [...nat.excluded, ...nat.sources] });
  return withNftSocket(async (socket) => {
    const backend = nat.backend ?? detectBackend(socket);
    const differs = backend === 'nftables' ? nftNatDiffers : iptablesNatDiffers;
    return !differs(socket, plan);
  });
};

/**
 * Takes away what `syncOutgoingNat` made, with both backends, or all but `kept`: for a node that changed
 * its backend. What is not there is no error. Rejects with CniError 100.
 */
export const removeOutgoingNat = (vni: number, kept?: FilterBackend): Promise<boolean> =>
  withNftSocket(async (socket) => {
    const ofNft = kept === 'nftables' ? false : await removeNftNat(socket, vni);
    const ofIptables = kept === 'iptables' ? false : await removeIptablesNat(socket, vni);
    return ofNft || ofIptables;
  });
