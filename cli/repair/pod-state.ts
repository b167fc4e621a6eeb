import { hostInterfaceAlias, hostInterfaceName } from '../../shared/attachment/host-interface-name.ts';
import { readLink } from '../../shared/kernel/link.ts';
import { isOwnNetns, openNetnsIfPresent } from '../../shared/kernel/netns.ts';
import type { AttachmentRecord } from '../../shared/store/attachments.ts';
import type { Look } from './look.ts';

/** `detached`: the pod lives, but its interface is gone. */
export type PodState = 'attached' | 'detached' | 'gone';

/**
 * What became of an attachment. The host end of a veth lives as long as the pod's end does, also when
 * the path to the netns is gone; without one (the pod was attached by another plugin, to which ours is
 * chained) the interface is looked for in the netns.
 */
export const podState = (record: AttachmentRecord, look: Look): PodState => {
  const host = look.link(hostInterfaceName(record));
  const alias = hostInterfaceAlias(record);
  if (host?.kind === 'veth' && (host.alias === undefined || host.alias === alias)) return 'attached';
  const netns = openNetnsIfPresent(record.netns);
  if (netns === undefined) return 'gone';
  try {
    if (isOwnNetns(netns)) return 'gone';
    const hasInterface = netns.run(() => readLink(record.ifname)) !== undefined;
    // A link of another plugin has another name.
    if (hasInterface && record.hostInterface !== hostInterfaceName(record)) return 'attached';
    // A process id that is another process's by now leads to another pod.
    return /^\/proc\/\d+\//.test(record.netns) ? 'gone' : 'detached';
  } finally {
    netns.close();
  }
};
