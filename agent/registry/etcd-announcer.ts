import { CniError, ErrorCode, toCniError } from '../../shared/cni/errors.ts';
import type { OverlayNode } from '../../shared/overlay/types.ts';
import type { EtcdClient } from '../../shared/store/etcd/client.ts';
import type { EtcdEntry } from '../../shared/store/etcd/encoding.ts';
import { hasEtcdProblem } from '../../shared/store/etcd/errors.ts';
import { paused } from '../../shared/store/etcd/pause.ts';
import type { RegistryKeys } from './etcd-keys.ts';
import { formatRegistration, instanceOf, readRegistration } from './etcd-records.ts';

export interface AnnouncerSettings {
  /** How long a node counts as alive without a sign of life. */
  ttlSeconds: number;
  /** The same whenever this node's agent starts anew; another one for each other node. */
  instance: string;
  trouble: (error: CniError) => void;
  /** After trouble: the node is registered again. */
  recovered: () => void;
}

/** Keeps this node registered and alive. */
export class Announcer {
  readonly #client: EtcdClient;
  readonly #keys: RegistryKeys;
  readonly #settings: AnnouncerSettings;

  constructor(client: EtcdClient, keys: RegistryKeys, settings: AnnouncerSettings) {
    this.#client = client;
    this.#keys = keys;
    this.#settings = settings;
  }

  /**
   * Registers the node, and keeps it registered until `signal` is aborted; what is in etcd then stays, and the node
   * counts as alive until its lease ends. Throws CniError 7 when another node of that name is alive.
   */
  async announce(own: OverlayNode, signal: AbortSignal): Promise<void> {
    const lease = await this.#register(own, signal);
    void this.#keep(own, lease, signal);
  }

  /** What etcd has of this node. Throws CniError 7 when another node of that name is alive. */
  async ownEntries(own: Pick<OverlayNode, 'name' | 'addresses'>, signal: AbortSignal): Promise<Registered> {
    const key = this.#keys.node(own.name);
    const { found } = await this.#client.transaction(
      {
        compare: [],
        success: [
          { do: 'get', key },
          { do: 'get', key: this.#keys.alive(own.name) },
        ],
      },
      { signal },
    );
    const [registration, liveness] = found;
    if (liveness === undefined || instanceOf(liveness.value) === this.#settings.instance)
      return { registration, liveness };
    const other = registration && readRegistration(key, own.name, registration.value);
    // A machine that was rebooted is another instance, and has its addresses still.
    const addresses = typeof other === 'object' ? other.addresses : [];
    if (addresses.some((address) => own.addresses.includes(address))) return { registration, liveness };
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      `another node is registered in etcd as "${own.name}", with the addresses ${addresses.join(', ') || '(none)'}`,
      {
        details: `Give this node a name of its own (--node). If the other is gone for good, try again in ${this.#settings.ttlSeconds} s.`,
      },
    );
  }

  /** The id of the lease that the node is alive with. */
  async #register(own: OverlayNode, signal: AbortSignal): Promise<string> {
    const key = this.#keys.node(own.name);
    const alive = this.#keys.alive(own.name);
    const value = formatRegistration(own);
    let lease: string | undefined;
    for (let attempt = 0; attempt < 5; attempt++) {
      const { registration, liveness } = await this.ownEntries(own, signal);
      lease ??= await this.#client.grantLease(this.#settings.ttlSeconds, { signal });
      try {
        const { succeeded } = await this.#client.transaction(
          {
            compare: [
              { key, modRevision: registration?.modRevision ?? 0n },
              { key: alive, modRevision: liveness?.modRevision ?? 0n },
            ],
            success: [
              // Not written when it is the same: then nobody has anything to do.
              ...(registration?.value === value ? [] : [{ do: 'put' as const, key, value }]),
              { do: 'put', key: alive, value: JSON.stringify({ instance: this.#settings.instance }), lease },
            ],
          },
          { signal },
        );
        if (succeeded) return lease;
      } catch (error) {
        // If it was done all the same, that is read, and done again with the same effect.
        if (hasEtcdProblem(error, 'lease-gone')) lease = undefined;
        else if (!hasEtcdProblem(error, 'unanswered')) throw error;
      }
    }
    throw new CniError(ErrorCode.tryAgainLater, `the node "${own.name}" could not be registered in etcd`, {
      details: 'Its registration is changed by somebody else all the time: see who writes it.',
    });
  }

  async #keep(own: OverlayNode, firstLease: string, signal: AbortSignal): Promise<void> {
    const beatMs = (this.#settings.ttlSeconds * 1000) / 3;
    let lease = firstLease;
    let told = '';
    let waitMs = beatMs;
    for (;;) {
      await paused(waitMs, signal);
      if (signal.aborted) return;
      try {
        if (!(await this.#isKept(own, lease, signal))) lease = await this.#register(own, signal);
        if (told !== '') this.#settings.recovered();
        told = '';
        waitMs = beatMs;
      } catch (error) {
        if (signal.aborted) return;
        const trouble = toCniError(error);
        if (trouble.message !== told) this.#settings.trouble(trouble);
        told = trouble.message;
        waitMs = Math.min(beatMs, 1000) * (0.5 + Math.random());
      }
    }
  }

  /** Renews the lease. False when it was lost, or somebody changed what we wrote. */
  async #isKept(own: OverlayNode, lease: string, signal: AbortSignal): Promise<boolean> {
    if (!(await this.#client.keepLease(lease, { signal }))) return false;
    const { registration, liveness } = await this.ownEntries(own, signal);
    return registration?.value === formatRegistration(own) && liveness?.lease === lease;
  }
}

/** What etcd has of a node. */
export interface Registered {
  registration: EtcdEntry | undefined;
  liveness: EtcdEntry | undefined;
}
