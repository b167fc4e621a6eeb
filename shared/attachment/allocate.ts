import { delegateAdd, delegateVerb } from '../cni/delegate.ts';
import { CniError, ErrorCode } from '../cni/errors.ts';
import type { Call } from '../cni/plugin.ts';
import type { Result } from '../cni/types.ts';
import type { Undo } from './undo.ts';

/**
 * Reserves the pod's addresses with the IPAM plugin; the undo gives them back. The release is
 * registered before the call: a delegate that failed half-way may hold some (SPEC.md, "Delegated
 * plugins"). Throws the delegate's error, or CniError 101 when it returns no address.
 */
export const allocateAddresses = async (call: Call, ipamType: string, undo: Undo): Promise<Result> => {
  undo.add(`release the addresses of IPAM plugin "${ipamType}"`, () => delegateVerb(call, 'DEL', ipamType));
  const result = await delegateAdd(call, ipamType);
  if (result.ips.length > 0) return result;
  throw new CniError(ErrorCode.delegateFailed, `IPAM plugin "${ipamType}" returned no address`, {
    details: 'Check its configuration under "ipam".',
  });
};
