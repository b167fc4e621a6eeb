import { ownerOf } from '../attachment/owner.ts';
import { Fields, isObject } from '../cni/fields.ts';
import type { Attachment, Call } from '../cni/plugin.ts';
import type { FilterRemoval } from '../filter/filter-part.ts';
import type { Owner } from '../filter/owner.ts';
import { removalOf } from '../firewall/attachment.ts';
import { collectFirewall } from '../firewall/collect.ts';
import { forgetFirewall } from '../firewall/record.ts';
import { firewallRemovalPart } from '../firewall/remove.ts';
import type { Netns } from '../kernel/netns.ts';
import type { NftSocket } from '../kernel/nft-socket.ts';
import { handOverPorts } from '../portmap/add.ts';
import { salvagePortMappings } from '../portmap/mapping.ts';
import { collectPortmaps, portmapRemoval } from '../portmap/remove.ts';
import { parseBandwidthForRemoval } from '../shaping/bandwidth-keys.ts';
import { collectShaping } from '../shaping/collect.ts';
import { ownIfbs, removeLinks } from '../shaping/ifb.ts';
import { readShapingRecord } from '../shaping/record.ts';
import { removeShaping } from '../shaping/remove.ts';
import { type AttachmentRecord, listAttachments } from '../store/attachments.ts';
import { askedFeatures, FEATURES, type Feature } from './feature-keys.ts';

/** The features of an attachment that goes, in steps between those of the network plugin's DEL. */
export class DetachedFeatures {
  readonly #call: Call;
  readonly #owner: Owner;
  readonly #names: readonly Feature[];
  readonly #heirs: Owner[] = [];

  /**
   * What the record of a completed ADD names is all there is; without such a record, or without a word of
   * features in it (the ADD was that of a chain), the configuration says what there may be.
   */
  constructor(call: Call, record: AttachmentRecord | undefined) {
    this.#call = call;
    this.#owner = ownerOf(call);
    const recorded = recordedFeatures(record);
    const asked = record?.complete === true && recorded !== undefined ? [] : askedFeatures(call.config);
    this.#names = FEATURES.filter((name) => asked.includes(name) || recorded?.includes(name));
  }

  /** For the removal of the plugin's own part; undefined without any. */
  get filterRemovals(): ((socket: NftSocket) => FilterRemoval[]) | undefined {
    const hasPortmap = this.#names.includes('portmap');
    const hasFirewall = this.#names.includes('firewall');
    if (!hasPortmap && !hasFirewall) return undefined;
    return (socket) => [
      ...(hasPortmap ? [this.#portmapRemoval(socket)] : []),
      ...(hasFirewall ? [this.#firewallRemoval(socket)] : []),
    ];
  }

  /** Deletes what links the features have, while the plugin deletes its own. Rejects with CniError 100. */
  async deleteLinks(): Promise<void> {
    if (!this.#names.includes('bandwidth')) return;
    const ifbs = ownIfbs(this.#owner, readShapingRecord(this.#owner)?.shaping);
    await removeLinks(ifbs);
  }

  /** The last step, when links and rules are gone. Rejects with CniError 100, 5 or 11. */
  async finish(netns: Netns | undefined): Promise<void> {
    if (this.#names.includes('bandwidth')) {
      const { json, runtimeConfig } = this.#call.config;
      const own = new Fields(json).raw('bandwidth');
      const { ingress } = parseBandwidthForRemoval(new Fields(isObject(own) ? own : {}), runtimeConfig);
      await removeShaping(this.#owner, netns, ingress !== undefined);
    }
    await handOverPorts(this.#heirs);
  }

  #portmapRemoval(socket: NftSocket): FilterRemoval {
    const mappings = salvagePortMappings(new Fields(this.#call.config.runtimeConfig));
    return portmapRemoval(socket, this.#owner, mappings, this.#heirs);
  }

  #firewallRemoval(socket: NftSocket): FilterRemoval {
    const removal = removalOf(this.#call, new Fields(this.#call.config.json).raw('firewall'));
    return { ...firewallRemovalPart(socket, removal), finish: () => forgetFirewall(this.#owner) };
  }
}

/**
 * The works of a GC: for the features that the configuration names, or that an ADD on this network has
 * carried out. Each rejects with CniError 100, 5 or 11.
 */
export const featureCollections = (
  { config, startedAt = Date.now() }: Call,
  valid: readonly Attachment[],
): (() => Promise<void>)[] => {
  const recorded = new Set(listAttachments(config.name).flatMap((record) => recordedFeatures(record) ?? []));
  const asked = askedFeatures(config);
  const names = FEATURES.filter((name) => asked.includes(name) || recorded.has(name));
  return names.map((name) => () => COLLECTORS[name](config.name, [...valid], startedAt));
};

const COLLECTORS: Record<Feature, (network: string, valid: Attachment[], since: number) => Promise<void>> = {
  portmap: collectPortmaps,
  bandwidth: collectShaping,
  firewall: collectFirewall,
};

const recordedFeatures = (record: AttachmentRecord | undefined): Feature[] | undefined => {
  const names = record?.features;
  return Array.isArray(names) ? FEATURES.filter((name) => names.includes(name)) : undefined;
};
