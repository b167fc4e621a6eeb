import type { JsonObject } from '../shared/cni/types.ts';
import { OverlaySyncer } from '../shared/overlay/syncer.ts';
import type { OverlayNode, OverlaySync } from '../shared/overlay/types.ts';
import { buildConflist } from './conflist.ts';
import { conflistPath, writeConflist } from './conflist-file.ts';
import type { Log } from './log.ts';
import { PacketFilter } from './packet-filter.ts';
import { PodRanges } from './pod-ranges.ts';
import type { AgentSettings } from './settings.ts';
import type { SyncCause } from './sync-loop.ts';
import { takeOver } from './take-over.ts';

/** What one sync found and did. */
export interface NodeSyncResult {
  overlay: OverlaySync;
  filterChanged: boolean;
  conflistWritten: boolean;
  /** Milliseconds. */
  ms: number;
}

/** Brings this node in order: packet filter, VTEP and peers, then the network configuration. */
export class NodeSync {
  readonly #settings: AgentSettings;
  readonly #log: Log;
  readonly #template: JsonObject | undefined;
  readonly #ipam: JsonObject | undefined;
  readonly #overlay = new OverlaySyncer();
  readonly #filter: PacketFilter;
  /** Whether nothing is left of an overlay that this node was in before. */
  #tookOver = false;
  /** What the packet filter is told of, when the last sync has left it in order. */
  #filtered: { sources: string; ranges: PodRanges } | undefined;

  /** `template` is a conflist to fill in, `ipam` what it gets in place of host-local; undefined: the default ones. */
  constructor(settings: AgentSettings, log: Log, template?: JsonObject, ipam?: JsonObject) {
    this.#settings = settings;
    this.#log = log;
    this.#filter = new PacketFilter(settings);
    this.#template = template;
    this.#ipam = ipam;
  }

  /**
   * For new nodes only what differs from the last sync is written; else all is compared with the kernel.
   * Throws CniError; what could be done is done then, and the configuration is not written.
   */
  async run(own: OverlayNode, nodes: readonly OverlayNode[], cause: SyncCause): Promise<NodeSyncResult> {
    const started = performance.now();
    const ranges = new PodRanges(nodes, this.#filtered?.ranges);
    const pods = [...own.podCIDRs, ...(own.podAddresses ?? [])];
    const sources = pods.join();
    // Before there is a route to a new peer, and for as long as there may be one to a former peer, what pods
    // send there is not masqueraded.
    const early =
      cause === 'kernel' || this.#filtered?.sources !== sources || ranges.joined.size > 0
        ? await this.#filter.sync(pods, ranges.withFormer)
        : undefined;
    const overlay = await this.#syncOverlay(own, nodes, cause);
    const late = ranges.left.size > 0 ? await this.#filter.sync(pods, ranges.aggregated) : undefined;
    const failure = late?.error ?? early?.error;
    this.#filtered = failure === undefined ? { sources, ranges } : undefined;
    if (failure !== undefined) throw failure;
    overlay.messages.push(...((late ?? early)?.messages ?? []));
    const conflistWritten = this.#writeConflist(overlay);
    const filterChanged = early?.changed === true || late?.changed === true;
    return { overlay, filterChanged, conflistWritten, ms: performance.now() - started };
  }

  async #syncOverlay(
    own: OverlayNode,
    nodes: readonly OverlayNode[],
    cause: SyncCause,
  ): Promise<OverlaySync> {
    const { overlay: settings, vni } = this.#settings;
    if (cause === 'nodes' && this.#tookOver) return this.#overlay.syncChange(own, nodes, settings);
    const { result, former } = await takeOver(own, vni, (states) =>
      this.#overlay.syncAll(own, nodes, settings, states),
    );
    this.#tookOver = true;
    for (const { vni: before, device } of former)
      this.#log.info({ before, device }, 'took over from the overlay of another VNI');
    return result;
  }

  #writeConflist({ state }: OverlaySync): boolean {
    const { confDir, overlay } = this.#settings;
    const path = conflistPath(confDir);
    const text = buildConflist({ ...state, mtu: overlay.mtu, ipam: this.#ipam }, this.#template);
    const { written, saved } = writeConflist(path, text);
    if (saved !== undefined) this.#log.warn({ path, saved }, 'a file of somebody else had the name of ours');
    return written;
  }
}
