import { Fields, isObject } from '../cni/fields.ts';
import type { JsonObject } from '../cni/types.ts';
import type { FilterBackend } from '../filter/backend.ts';
import type { Owner } from '../filter/owner.ts';
import { type PodAddress, podAddress } from '../filter/pod-address.ts';
import {
  type AttachmentRecord,
  listAttachments,
  readAttachment,
  saveAttachment,
} from '../store/attachments.ts';
import { isHostEnd } from './claim-files.ts';
import type { HostEnd } from './claims.ts';
import { type PortmapOptions, parsePortmapOptions } from './options.ts';

/** The directory of the records of attachments that have host ports. */
export const PORTMAP_RECORDS = '/run/podwire/portmap';

/** What an ADD made: enough to take it away, and to make it again. */
export interface PortmapRecord {
  owner: Owner;
  options: PortmapOptions;
  addresses: PodAddress[];
  backend: FilterBackend;
  netns: string;
  links: HostEnd[];
}

/** Writes it, before anything is made. Throws CniError 5. */
export const savePortmap = ({ owner, options, addresses, backend, netns, links }: PortmapRecord): void => {
  const { mappings, markMasqBit, ...keys } = options;
  const config = keys.externalSetMarkChain === undefined ? { ...keys, markMasqBit } : keys;
  const record: AttachmentRecord = {
    version: 1,
    plugin: 'portmap',
    ...owner,
    netns,
    addresses: addresses.map(({ address, subnet }) => ({ address, subnet })),
    filter: backend,
    links,
    config,
    portMappings: mappings,
  };
  saveAttachment(record, PORTMAP_RECORDS);
};

/** The record of an attachment; undefined when there is none or it can't be understood. */
export const readPortmap = ({ network, containerId, ifname }: Owner): PortmapRecord | undefined => {
  const record = readAttachment(network, containerId, ifname, PORTMAP_RECORDS);
  return record && understand(record);
};

/** All records of a network that can be understood. */
export const listPortmaps = (network: string): PortmapRecord[] =>
  listAttachments(network, PORTMAP_RECORDS).flatMap((record) => understand(record) ?? []);

const understand = (record: AttachmentRecord): PortmapRecord | undefined => {
  const { network, containerId, ifname, addresses, filter, netns, links, config, portMappings } = record;
  try {
    if (!isObject(config) || filter === undefined) return undefined;
    const mappings = new Fields({ portMappings } as JsonObject);
    const options = parsePortmapOptions(new Fields(config), mappings);
    return {
      owner: { network, containerId, ifname },
      options: { ...options, except: new Fields(config).strings('except') ?? [] },
      addresses: addresses.map(podAddress),
      backend: filter,
      netns,
      links: Array.isArray(links) ? links.filter(isHostEnd) : [],
    };
  } catch {
    return undefined;
  }
};
