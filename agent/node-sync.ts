import { readFileSync } from 'node:fs';
import { type CniError, toCniError } from '../shared/cni/errors.ts';
import type { JsonObject } from '../shared/cni/types.ts';
import { removeOutgoingNat, syncOutgoingNat } from '../shared/overlay/nat-outgoing.ts';
import { OverlaySyncer } from '../shared/overlay/syncer.ts';
import type { OverlayNode, OverlaySync } from '../shared/overlay/types.ts';
import { ioFailure } from '../shared/store/io-failure.ts';
import { buildConflist, parseTemplate } from './conflist.ts';
import { conflistPath, writeConflist } from './conflist-file.ts';
import type { Log } from './log.ts';
import { PodRanges } from './pod-ranges.ts';
import type { AgentSettings } from './settings.ts';
import type { SyncCause } from './sync-loop.ts';

/** What one sync found and did. */
export interface NodeSyncResult {
  overlay: OverlaySync;
  natChanged: boolean;
  conflistWritten: boolean;
  /** Milliseconds. */
  ms: number;
}

/** Brings this node in order: NAT, VTEP and peers, then the network configuration. */
export class NodeSync {
  readonly #settings: AgentSettings;
  readonly #log: Log;
  readonly #template: JsonObject | undefined;
  readonly #overlay = new OverlaySyncer();
  /** What NAT is told of, when the last sync has left it in order. */
  #nat: { sources: string; ranges: PodRanges } | undefined;
  #natTidied = false;

  /** Throws CniError 5, 6 or 7 when there is a template and it cannot be used. */
  constructor(settings: AgentSettings, log: Log) {
    this.#settings = settings;
    this.#log = log;
    this.#template = readTemplate(settings.conflistTemplate);
  }

  /**
   * For new nodes only what differs from the last sync is written; else all is compared with the kernel.
   * Throws CniError; what could be done is done then, and the configuration is not written.
   */
  async run(own: OverlayNode, nodes: readonly OverlayNode[], cause: SyncCause): Promise<NodeSyncResult> {
    const started = performance.now();
    const ranges = new PodRanges(nodes, this.#nat?.ranges);
    const sources = own.podCIDRs.join();
    // Before there is a route to a new peer, and for as long as there may be one to a former peer, what pods
    // send there is not masqueraded.
    const early =
      cause === 'kernel' || this.#nat?.sources !== sources || ranges.joined.size > 0
        ? await this.#syncNat(own, ranges.withFormer)
        : undefined;
    const sync = cause === 'nodes' ? 'syncChange' : 'syncAll';
    const overlay = await this.#overlay[sync](own, nodes, this.#settings.overlay);
    const late = ranges.left.size > 0 ? await this.#syncNat(own, ranges.aggregated) : undefined;
    const natFailure = late?.error ?? early?.error;
    this.#nat = natFailure === undefined ? { sources, ranges } : undefined;
    if (natFailure !== undefined) throw natFailure;
    const conflistWritten = this.#writeConflist(overlay);
    const natChanged = early?.changed === true || late?.changed === true;
    return { overlay, natChanged, conflistWritten, ms: performance.now() - started };
  }

  /** A failure must not keep the node from its peers: it is thrown later. */
  async #syncNat(
    own: OverlayNode,
    ranges: readonly string[],
  ): Promise<{ changed: boolean; error?: CniError }> {
    const { nat, vni } = this.#settings;
    try {
      if (!nat.enabled) return { changed: await this.#tidyNat() };
      const excluded = [...ranges, ...nat.excluded];
      const { backend, changed } = await syncOutgoingNat({
        vni,
        sources: own.podCIDRs,
        excluded,
        backend: nat.backend,
      });
      await this.#tidyNat(backend);
      return { changed };
    } catch (error) {
      return { changed: false, error: toCniError(error) };
    }
  }

  /** Once: rules of an earlier run that had another backend, or wanted NAT at all. */
  async #tidyNat(kept?: 'nftables' | 'iptables'): Promise<boolean> {
    if (this.#natTidied) return false;
    const changed = await removeOutgoingNat(this.#settings.vni, kept);
    this.#natTidied = true;
    return changed;
  }

  #writeConflist({ state }: OverlaySync): boolean {
    const { confDir, overlay } = this.#settings;
    const path = conflistPath(confDir);
    const text = buildConflist({ ...state, mtu: overlay.mtu }, this.#template);
    const { written, saved } = writeConflist(path, text);
    if (saved !== undefined) this.#log.warn({ path, saved }, 'a file of somebody else had the name of ours');
    return written;
  }
}

const readTemplate = (file: string | undefined): JsonObject | undefined => {
  if (file === undefined) return undefined;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw ioFailure(`read --conflist-template ${file}`, error);
  }
  return parseTemplate(text, file);
};
