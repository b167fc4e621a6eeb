import { CniError, ErrorCode } from '../cni/errors.ts';
import { show } from '../cni/fields.ts';
import type { Environment } from '../cni/plugin.ts';
import { isOwnNetns, type Netns, openNetns, openNetnsIfPresent } from '../kernel/netns.ts';

/**
 * The netns at CNI_NETNS, for ADD and CHECK. Throws CniError 8 when it is missing, is none, or is the
 * plugin's own: configuring that would change the host (CNI_NETNS_OVERRIDE insists).
 */
export const requireContainerNetns = (env: Environment): Netns => {
  const netns = openNetns(env.netns);
  if (!isOwnNetns(netns) || env.netnsOverride) return netns;
  netns.close();
  throw new CniError(
    ErrorCode.invalidNetns,
    `CNI_NETNS ${show(env.netns)} is the netns this plugin runs in`,
    {
      details:
        'Give the netns of the container. A runtime that means the host says so with CNI_NETNS_OVERRIDE=1.',
    },
  );
};

/** The same for DEL, to which a netns that is gone is none, and the host's own is nobody's container. */
export const containerNetnsIfPresent = (env: Environment): Netns | undefined => {
  const netns = openNetnsIfPresent(env.netns);
  if (netns === undefined || !isOwnNetns(netns) || env.netnsOverride) return netns;
  netns.close();
  return undefined;
};
