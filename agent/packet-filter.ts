import { type CniError, toCniError } from '../shared/cni/errors.ts';
import { removeForwardRules, syncForwardRules } from '../shared/overlay/forward-rules.ts';
import { removeOutgoingNat, syncOutgoingNat } from '../shared/overlay/nat-outgoing.ts';
import type { AgentSettings } from './settings.ts';

export interface FilterSync {
  changed: boolean;
  /** What could not be done, a sentence each. */
  messages: string[];
  /** What failed first; the other part is in order all the same. */
  error?: CniError;
}

/** NAT of what leaves the cluster, and that what stays in it is forwarded. */
export class PacketFilter {
  readonly #settings: Pick<AgentSettings, 'vni' | 'nat' | 'forwardRules'>;
  #natTidied = false;
  #forwardTidied = false;

  constructor(settings: Pick<AgentSettings, 'vni' | 'nat' | 'forwardRules'>) {
    this.#settings = settings;
  }

  /**
   * With the pod ranges of this node and of all nodes. Does not throw: a failure must not keep the node from its
   * peers.
   */
  async sync(sources: readonly string[], ranges: readonly string[]): Promise<FilterSync> {
    const sync: FilterSync = { changed: false, messages: [] };
    for (const part of [() => this.#syncNat(sources, ranges), () => this.#syncForward(sources, ranges)]) {
      try {
        const { changed, messages = [] } = await part();
        if (changed) sync.changed = true;
        sync.messages.push(...messages);
      } catch (error) {
        sync.error ??= toCniError(error);
      }
    }
    return sync;
  }

  async #syncNat(sources: readonly string[], ranges: readonly string[]): Promise<Part> {
    const { nat, vni } = this.#settings;
    if (!nat.enabled) return { changed: await this.#tidyNat() };
    const excluded = [...ranges, ...nat.excluded];
    const { backend, changed } = await syncOutgoingNat({ vni, sources, excluded, backend: nat.backend });
    await this.#tidyNat(backend);
    return { changed };
  }

  /** Once: rules of an earlier run that had another backend, or wanted NAT at all. */
  async #tidyNat(kept?: 'nftables' | 'iptables'): Promise<boolean> {
    if (this.#natTidied) return false;
    const changed = await removeOutgoingNat(this.#settings.vni, kept);
    this.#natTidied = true;
    return changed;
  }

  async #syncForward(sources: readonly string[], ranges: readonly string[]): Promise<Part> {
    const { vni, forwardRules } = this.#settings;
    if (forwardRules) return syncForwardRules({ vni, prefixes: [...ranges, ...sources] });
    if (this.#forwardTidied) return { changed: false };
    const changed = await removeForwardRules(vni);
    this.#forwardTidied = true;
    return { changed };
  }
}

interface Part {
  changed: boolean;
  messages?: string[];
}
