import type { CniError } from '../shared/cni/errors.ts';
import type { OverlayNode } from '../shared/overlay/types.ts';
import { FailureLog, type Log } from './log.ts';
import type { AgentMetrics } from './metrics.ts';
import type { NodeSyncResult } from './node-sync.ts';
import type { AgentStatus } from './status.ts';

/** Tells log, status and metrics what happens; each thing once, however often it is found again. */
export class Reporter {
  readonly #log: Log;
  readonly #status: AgentStatus;
  readonly #metrics: AgentMetrics;
  readonly #syncs: FailureLog;
  readonly #registry: FailureLog;
  readonly #refused: NewTexts;
  readonly #skipped: NewTexts;
  readonly #messages: NewTexts;

  constructor(log: Log, status: AgentStatus, metrics: AgentMetrics) {
    this.#log = log;
    this.#status = status;
    this.#metrics = metrics;
    this.#syncs = new FailureLog(log, 'the sync');
    this.#registry = new FailureLog(log, 'the registry');
    this.#refused = new NewTexts((text) => log.warn({ entry: text }, 'an entry is left out'));
    this.#skipped = new NewTexts((text) => log.warn({ peer: text }, 'a peer is left out'));
    this.#messages = new NewTexts((text) => log.info(text));
  }

  registryTold(nodes: readonly OverlayNode[]): void {
    this.#registry.succeeded();
    this.#status.registryTrouble = undefined;
    this.#status.nodes = nodes.length;
  }

  /** Entries of the registry, or of cluster-ipam's datastore, that cannot be acted on. */
  leftOut(refused: readonly string[]): void {
    this.#status.refused = refused;
    this.#refused.tell(refused);
  }

  registryFailed(error: CniError): void {
    this.#registry.failed(error);
    this.#status.registryFailed(error);
  }

  /** Why there is nothing to sync with, or nothing new; undefined when there is. */
  waiting(reason: string | undefined): void {
    if (reason !== undefined && reason !== this.#status.waiting) this.#log.warn({ reason }, 'waiting');
    this.#status.waiting = reason;
  }

  syncBegins(): void {
    this.#status.syncing = new Date();
  }

  synced({ overlay, filterChanged, conflistWritten, ms }: NodeSyncResult): void {
    const first = this.#status.lastSuccess === undefined;
    const { state, peers, skipped, messages, changes } = overlay;
    const via = { vxlan: 0, direct: 0 };
    for (const peer of peers) via[peer.via] += 1;
    this.#ended(ms, 'success');
    this.#syncs.succeeded();
    this.#status.syncSucceeded({ state, peers: via, skipped });
    this.#status.conflistWritten = true;
    this.#skipped.tell(skipped.map(({ name, reason }) => `${name}: ${reason}`));
    this.#messages.tell(messages);
    const done = Object.entries(changes)
      .map(([kind, count]) => [kind, Number(count)] as const)
      .filter(([, count]) => count > 0);
    for (const [kind, count] of done) this.#metrics.kernelChanges.inc({ kind }, count);
    if (filterChanged) this.#metrics.filterChanges.inc();
    if (conflistWritten) this.#metrics.conflistWrites.inc();
    const fields = {
      ms: Math.round(ms),
      peers: peers.length,
      ...(skipped.length === 0 ? {} : { skipped: skipped.length }),
      ...Object.fromEntries(done),
      ...(filterChanged ? { filter: 'written' } : {}),
      ...(conflistWritten ? { conflist: 'written' } : {}),
    };
    if (first)
      this.#log.info(
        { ...fields, device: state.device, mtu: state.mtu, underlay: state.underlay },
        'first sync',
      );
    else if (done.length > 0 || filterChanged || conflistWritten) this.#log.info(fields, 'synced');
    else this.#log.debug(fields, 'nothing to do');
  }

  syncFailed(error: CniError, ms: number): void {
    this.#ended(ms, 'failure');
    this.#syncs.failed(error);
    this.#status.syncFailed(error);
  }

  #ended(ms: number, result: 'success' | 'failure'): void {
    this.#status.syncing = undefined;
    this.#metrics.syncs.inc({ result });
    this.#metrics.syncDuration.observe(ms / 1000);
  }
}

/** Tells of the texts of a list that were not in the one before. */
class NewTexts {
  readonly #tell: (text: string) => void;
  #before = new Set<string>();

  constructor(tell: (text: string) => void) {
    this.#tell = tell;
  }

  tell(texts: readonly string[]): void {
    for (const text of texts) if (!this.#before.has(text)) this.#tell(text);
    this.#before = new Set(texts);
  }
}
