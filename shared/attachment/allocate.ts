import { delegateAdd, delegateVerb } from '../cni/delegate.ts';
import { CniError, ErrorCode } from '../cni/errors.ts';
import type { Call } from '../cni/plugin.ts';
import type { Result } from '../cni/types.ts';
import { hasHostEnd } from './host-end.ts';
import { ownerOf } from './owner.ts';
import type { Undo } from './undo.ts';

/**
 * Reserves the pod's addresses with the IPAM plugin; the undo gives them back. The release is
 * registered before the call: a delegate that failed half-way may hold some (SPEC.md, "Delegated
 * plugins"). It is left to the next DEL as long as the pod's link could not be removed, so that no other
 * pod gets an address that is in use. Throws the delegate's error, or CniError 101 when it returns no
 * address.
 */
export const allocateAddresses = async (call: Call, ipamType: string, undo: Undo): Promise<Result> => {
  undo.add(`release the addresses of IPAM plugin "${ipamType}"`, async () => {
    if (hasHostEnd(ownerOf(call))) throw stillInUse();
    await delegateVerb(call, 'DEL', ipamType);
  });
  const result = await delegateAdd(call, ipamType);
  if (result.ips.length > 0) return result;
  throw new CniError(ErrorCode.delegateFailed, `IPAM plugin "${ipamType}" returned no address`, {
    details: 'Check its configuration under "ipam".',
  });
};

const stillInUse = (): CniError =>
  new CniError(ErrorCode.tryAgainLater, "the container's link, which has them, is still there");
