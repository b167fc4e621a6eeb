import { hostInterfaceName, isOurAlias } from '../../shared/attachment/host-interface-name.ts';
import { FIREWALL_RECORDS } from '../../shared/firewall/record.ts';
import { listLinks } from '../../shared/kernel/link.ts';
import { withNftSocket } from '../../shared/kernel/nft-socket.ts';
import { PORTMAP_RECORDS } from '../../shared/portmap/record.ts';
import { shapingRecords } from '../../shared/shaping/record.ts';
import { scanAttachments } from '../../shared/store/attachment-scan.ts';
import { type AttachmentRecord, attachmentsDirectory } from '../../shared/store/attachments.ts';
import { Look } from '../repair/look.ts';
import { podState } from '../repair/pod-state.ts';
import { type HostPaths, onHost } from './host-paths.ts';

/** An attachment that a living pod has by a plugin of ours. */
export interface AttachedPod {
  network: string;
  containerId: string;
  ifname: string;
}

export interface RecordedPods {
  attached: AttachedPod[];
  /** Records of pods that are gone, by the kind of record, which is its directory. */
  stale: { directory: string; record: AttachmentRecord }[];
}

export const recordDirectories = [
  attachmentsDirectory,
  PORTMAP_RECORDS,
  FIREWALL_RECORDS,
  shapingRecords,
] as const;

/**
 * Who has a network of ours on this node: by the records, and by the host ends that bear our alias. A record whose
 * pod has neither an interface of ours nor a netns any more is stale. Throws CniError 5.
 */
export const findPods = (paths: HostPaths): Promise<RecordedPods> =>
  withNftSocket(async (socket) => {
    const look = new Look(socket);
    const attached = new Map<string, AttachedPod>();
    const stale: RecordedPods['stale'] = [];
    const known = new Set<string>();
    for (const directory of recordDirectories) {
      for (const record of scanAttachments(onHost(paths, directory)).records) {
        known.add(hostInterfaceName(record));
        const netns = onHost(paths, record.netns);
        if (podState({ ...record, netns }, look) !== 'attached') {
          stale.push({ directory, record });
          continue;
        }
        const { network, containerId, ifname } = record;
        attached.set(`${network}/${containerId}/${ifname}`, { network, containerId, ifname });
      }
    }
    for (const { name, kind, alias } of listLinks()) {
      if (kind !== 'veth' || alias === undefined || !isOurAlias(alias) || known.has(name)) continue;
      const [network = '', containerId = '', ifname = ''] = alias.slice(alias.indexOf(':') + 1).split('/');
      attached.set(alias, { network, containerId, ifname });
    }
    return { attached: [...attached.values()], stale };
  });
