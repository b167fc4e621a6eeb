import { type CniError, toCniError } from '../../shared/cni/errors.ts';
import { createBackoff } from '../backoff.ts';
import { FailureLog, type Log } from '../log.ts';
import { pause } from '../pause.ts';
import type { AgentIpam } from './ipam-config.ts';
import type { IpamMetrics } from './ipam-metrics.ts';
import { publishStatuses, serveKubernetes } from './kubernetes.ts';
import type { IpamView } from './pod-routes.ts';
import { IpamRecords } from './records.ts';
import { hasPending, poolUse, upkeep } from './upkeep.ts';

export interface IpamKeeperOptions {
  ipam: AgentIpam;
  log: Log;
  metrics: IpamMetrics;
  /** Where plugins look for their kubeconfig. */
  confDir: string;
  /** How often what is cheap is looked at, in ms. */
  intervalMs: number;
  /** What routes go by has changed. */
  onChange: () => void;
  /** Undefined: it is over. */
  onTrouble: (error: CniError | undefined) => void;
}

/** Milliseconds between two rounds: each node reads all blocks in one, so that thousands must not do it often. */
const LONGEST_ROUND_MS = 300_000;
const NODES_WAIT_MS = 2_000;

/**
 * Keeps cluster-ipam of this node in order: knows the cluster's blocks and addresses, does rounds of upkeep, and with
 * Kubernetes gives plugins what they need of it.
 */
export class IpamKeeper {
  readonly #options: IpamKeeperOptions;
  readonly #records: IpamRecords;
  readonly #failures: FailureLog;
  #nodes: ReadonlySet<string> = new Set();
  readonly #nodesKnown = Promise.withResolvers<void>();
  #isUrgent = true;
  #urgent = Promise.withResolvers<void>();
  #ownBlocks: ReadonlySet<string> | undefined;

  constructor(options: IpamKeeperOptions) {
    this.#options = options;
    const { ipam, log, onChange, onTrouble } = options;
    this.#failures = new FailureLog(log, 'the datastore of cluster-ipam');
    this.#records = new IpamRecords({
      connect: ipam.cluster.node.connect,
      backoff: createBackoff(500, 30_000),
      onChange: () => {
        this.#failures.succeeded();
        onTrouble(undefined);
        this.#countClaims();
        onChange();
      },
      onTrouble: (error) => {
        this.#failures.failed(error);
        onTrouble(error);
      },
    });
  }

  /** What the datastore has; undefined until it has told. */
  get view(): IpamView | undefined {
    return this.#records.view;
  }

  /** All nodes of the cluster; none when they are not known for sure: then nobody counts as gone. */
  nodesAre(names: ReadonlySet<string>): void {
    const isGone = names.size > 0 && [...this.#nodes].some((name) => !names.has(name));
    this.#nodes = names;
    if (names.size > 0) this.#nodesKnown.resolve();
    if (!isGone) return;
    this.#isUrgent = true;
    this.#urgent.resolve();
  }

  /** Until `signal` is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { ipam, log, confDir } = this.#options;
    await Promise.all([
      this.#records.run(signal),
      this.#rounds(signal),
      ipam.kubernetes && serveKubernetes({ ipam, access: ipam.kubernetes, log, confDir, signal }),
    ]);
  }

  async #rounds(signal: AbortSignal): Promise<void> {
    const { ipam, log, metrics, intervalMs } = this.#options;
    const { node } = ipam.cluster;
    const roundMs = Math.min(LONGEST_ROUND_MS, node.graceMs / 4);
    const failures = new FailureLog(log, 'the upkeep of cluster-ipam');
    const backoff = createBackoff(1000, 60_000);
    let dueAt = 0;
    // The first round then sees who is gone; a registry that is away must not keep pods from addresses.
    await pause(NODES_WAIT_MS, signal, this.#nodesKnown.promise);
    while (!signal.aborted) {
      let waitMs = intervalMs;
      try {
        if (Date.now() >= dueAt || this.#isUrgent || (await hasPending(node))) {
          this.#urgent = Promise.withResolvers<void>();
          await this.#round();
          this.#isUrgent = false;
          // Nodes that were started together must not go on in step.
          dueAt = Date.now() + roundMs * (0.75 + Math.random() / 2);
        }
        metrics.use = await poolUse(node);
        failures.succeeded();
        backoff.reset();
      } catch (error) {
        failures.failed(toCniError(error));
        metrics.failures.inc();
        waitMs = backoff.next();
      }
      await pause(waitMs, signal, this.#urgent.promise);
    }
  }

  async #round(): Promise<void> {
    const { ipam, log, metrics } = this.#options;
    const { maintained, claimed } = await upkeep(ipam.cluster, this.#nodes);
    const { told, orphans, returned, expired, reclaimed } = maintained;
    metrics.returned.inc(returned.length);
    metrics.reclaimed.inc({ kind: 'block' }, reclaimed.blocks.length);
    metrics.reclaimed.inc({ kind: 'address' }, reclaimed.addresses.length);
    const counts = {
      ...{ told, orphans, returned: returned.length, expired, marked: reclaimed.marked },
      ...{ reclaimed: reclaimed.blocks.length + reclaimed.addresses.length, claimed: claimed.length },
    };
    const done = Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
    if (Object.keys(done).length > 0) log.info(done, 'upkeep of cluster-ipam');
    const { kubernetes } = ipam;
    const view = this.view;
    if (kubernetes === undefined || view === undefined) return;
    await publishStatuses(kubernetes, ipam.cluster.node.node, view);
  }

  /** Plugin calls claim, too: what is new among this node's blocks was claimed. */
  #countClaims(): void {
    const { ipam, metrics } = this.#options;
    const { node, network } = ipam.cluster.node;
    const own = new Set<string>();
    for (const { path, value } of this.view?.blocks ?? [])
      if (value.node === node && value.network === network) own.add(path);
    if (this.#ownBlocks !== undefined) metrics.claims.inc(own.difference(this.#ownBlocks).size);
    if (this.view !== undefined) this.#ownBlocks = own;
  }
}
