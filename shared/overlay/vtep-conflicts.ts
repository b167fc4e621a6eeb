import { CniError, ErrorCode } from '../cni/errors.ts';
import { listLinks } from '../kernel/link.ts';
import type { WantedVtep } from './plan.ts';
import type { PresentVtep } from './read.ts';

/** Throws CniError 103 when a device has the VTEP's name and is no VXLAN device: we have not made it. */
export const refuseForeignVtep = (present: PresentVtep | undefined, { device }: WantedVtep): void => {
  if (present === undefined || present.link.kind === 'vxlan') return;
  throw new CniError(
    ErrorCode.conflict,
    `the name "${device}" of the VTEP is taken by a ${present.link.kind ?? 'physical'} device`,
    { details: 'Remove or rename that device, or choose another "vni".' },
  );
};

/**
 * When another VXLAN device has the VNI and the port, of which the kernel allows one: throws CniError 103
 * that names it. `cause` is how the kernel refused ours.
 */
export const refuseSameVni = ({ device, vni, port }: WantedVtep, cause: unknown): void => {
  const other = listLinks().find(
    ({ name, vxlan }) => name !== device && vxlan?.vni === vni && vxlan.port === port && !vxlan.external,
  );
  if (other === undefined) return;
  throw new CniError(
    ErrorCode.conflict,
    `the device "${other.name}" has VNI ${vni} on UDP port ${port} already`,
    {
      details: `Choose another "vni" or "port" on all nodes, or remove that device${other.name.startsWith('flannel') ? ' (it is flannel’s)' : ''}.`,
      cause,
    },
  );
};
