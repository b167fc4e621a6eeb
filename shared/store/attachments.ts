import { isObject } from '../cni/fields.ts';
import { readdirSync, readFileSync, statSync, unlinkSync } from '../kernel/files.ts';
import { failedWith, ioFailure } from './io-failure.ts';
import { unfinished, writeWhole } from './whole-file.ts';

/** What a plugin must know of an attachment to take it away again without a netns or a prevResult. */
export interface AttachmentRecord {
  version: 1;
  /** Type name of the plugin that wrote it. */
  plugin: string;
  network: string;
  containerId: string;
  ifname: string;
  /** CNI_NETNS of the ADD. */
  netns: string;
  hostInterface?: string;
  /** The addresses given, and the subnet of each in CIDR notation. */
  addresses: { address: string; subnet: string }[];
  /** What the ADD asked of the packet filter: a DEL with a changed configuration still has to remove it. */
  masquerade?: boolean;
  spoofCheck?: boolean;
  /** The packet filter that holds the attachment's rules. */
  filter?: 'nftables' | 'iptables';
  /** The MAC of the pod's interface, the only one that the spoof check lets speak. */
  mac?: string;
  /** What the host has for the attachment besides the link: `podwire repair` puts it back. */
  host?: HostSideRecord;
  /** What the network plugin did in the stead of chained plugins, whose records have the rest. */
  features?: string[];
  /** Whatever else a plugin needs; kept as it is. */
  [key: string]: unknown;
}

/** The host's side of an attachment as ADD made it. Records of podwire 0.1 have none. */
export interface HostSideRecord {
  /** The families that the host routes for. */
  forwarding: (4 | 6)[];
  /** The host's addresses that are the pod's gateways, in CIDR notation, and the device that has them. */
  gateways: string[];
  gatewayDevice: string;
  /** Destinations that the host reaches by the host interface, in CIDR notation. */
  routes: string[];
  /** The bridge that the host interface is a port of, as it was when ADD ended. */
  bridge?: BridgeRecord;
}

export interface BridgeRecord {
  name: string;
  mac?: string;
  mtu?: number;
  promiscuous: boolean;
  /** The port is in VLANs of its own, which it loses when it leaves the bridge. */
  vlans: boolean;
  hairpin: boolean;
  isolated: boolean;
}

/** In /run, as the links and rules it describes do not outlive a reboot either. */
export const attachmentsDirectory = '/run/podwire/attachments';

/** Writes or replaces an attachment's record, whole or not at all. Throws CniError 5. */
export const saveAttachment = (record: AttachmentRecord, root = attachmentsDirectory): void => {
  const file = attachmentFile(root, record.network, record.containerId, record.ifname);
  try {
    writeWhole(file, `${JSON.stringify(record)}\n`);
  } catch (error) {
    throw ioFailure(`write the attachment's record ${file}`, error);
  }
};

/** The record of an attachment; undefined when there is none or it can't be understood. */
export const readAttachment = (
  network: string,
  containerId: string,
  ifname: string,
  root = attachmentsDirectory,
): AttachmentRecord | undefined => {
  const record = readRecord(attachmentFile(root, network, containerId, ifname));
  return record?.containerId === containerId && record.ifname === ifname ? record : undefined;
};

/** Forgets an attachment; fine when it is not known. Throws CniError 5 when the file can't be removed. */
export const removeAttachment = (
  network: string,
  containerId: string,
  ifname: string,
  root = attachmentsDirectory,
): void => {
  const file = attachmentFile(root, network, containerId, ifname);
  removeFile(unfinished(file));
  removeFile(file);
};

/**
 * Forgets all of a network's attachments but those in `kept`, and what else is in its directory, such as
 * a file that was being written when its process was killed. Throws CniError 5.
 */
export const removeOtherAttachments = (
  network: string,
  kept: readonly { containerID: string; ifname: string }[],
  root = attachmentsDirectory,
): void => {
  const directory = `${root}/${network}`;
  const files = kept.map(({ containerID, ifname }) => attachmentFile(root, network, containerID, ifname));
  const keptFiles = new Set(files.flatMap((file) => [file, unfinished(file)]));
  for (const name of namesIn(directory)) {
    const file = `${directory}/${name}`;
    if (!keptFiles.has(file)) removeFile(file);
  }
};

/** All readable records of a network, in no particular order. */
export const listAttachments = (network: string, root = attachmentsDirectory): AttachmentRecord[] => {
  const directory = `${root}/${network}`;
  return namesIn(directory)
    .filter((name) => !name.startsWith('.'))
    .map((name) => readRecord(`${directory}/${name}`))
    .filter((record) => record !== undefined);
};

/**
 * A network's attachments whose ADD succeeded since then (ms since the epoch), by their records. One of a
 * time that is yet to come is older: the clock was set back since.
 */
export const listCompletedSince = (
  network: string,
  since: number,
  root = attachmentsDirectory,
): AttachmentRecord[] =>
  listAttachments(network, root).filter((record) => {
    if (record.complete !== true) return false;
    const madeAt = modifiedAt(attachmentFile(root, network, record.containerId, record.ifname));
    // Date.now() may be up to a ms behind.
    return madeAt >= since && madeAt <= Date.now() + 1;
  });

/** In ms since the epoch; long ago when there is no such file. */
const modifiedAt = (file: string): number => {
  try {
    return Number(statSync(file).mtimeNs) / 1e6;
  } catch {
    return 0;
  }
};

/** The kernel's NAME_MAX, less the dot of an unfinished record. */
const longestName = 254;

/**
 * `<containerID>.<ifname>` while that is unambiguous and fits into a directory entry; else a hash (the
 * record has the whole). An ifname with a dot, such as `eth0.100`, could be read in two ways.
 */
const attachmentFile = (root: string, network: string, containerId: string, ifname: string): string => {
  const name = `${containerId}.${ifname}`;
  if (!ifname.includes('.') && new TextEncoder().encode(name).length <= longestName)
    return `${root}/${network}/${name}`;
  const hash = new Bun.CryptoHasher('sha256').update(`${containerId}\0${ifname}`).digest('hex');
  return `${root}/${network}/sha256-${hash}`;
};

const namesIn = (directory: string): string[] => {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
};

const removeFile = (file: string): void => {
  try {
    unlinkSync(file);
  } catch (error) {
    if (!failedWith(error, 'ENOENT', 'ENOTDIR')) {
      throw ioFailure(`remove the attachment's record ${file}`, error);
    }
  }
};

/** The record in a file; undefined when there is none or it can't be understood. */
export const readRecord = (file: string): AttachmentRecord | undefined => {
  try {
    const record: unknown = JSON.parse(readFileSync(file));
    return isRecord(record) ? record : undefined;
  } catch {
    return undefined;
  }
};

const isRecord = (value: unknown): value is AttachmentRecord =>
  isObject(value) &&
  value.version === 1 &&
  ['plugin', 'network', 'containerId', 'ifname', 'netns'].every((key) => typeof value[key] === 'string') &&
  Array.isArray(value.addresses) &&
  value.addresses.every(
    (entry) => isObject(entry) && typeof entry.address === 'string' && typeof entry.subnet === 'string',
  );
