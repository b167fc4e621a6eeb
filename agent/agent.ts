import { toCniError } from '../shared/cni/errors.ts';
import { readNodeState } from '../shared/overlay/node-state.ts';
import type { OverlayNode } from '../shared/overlay/types.ts';
import { vtepDevice } from '../shared/overlay/vtep.ts';
import { Announcer } from './announcer.ts';
import { createBackoff } from './backoff.ts';
import { conflistPath, removeConflist } from './conflist-file.ts';
import { startHealthServer } from './health.ts';
import { watchLinks } from './link-watch.ts';
import { createLog, type Log } from './log.ts';
import { createMetrics } from './metrics.ts';
import { judgeNodes } from './node-list.ts';
import { NodeSync } from './node-sync.ts';
import { openEtcdRegistry, openRegistry } from './open-registry.ts';
import { describeOwnNode } from './own-node.ts';
import { pause } from './pause.ts';
import type { Registry } from './registry/registry.ts';
import { Reporter } from './reporter.ts';
import type { AgentSettings } from './settings.ts';
import { AgentStatus } from './status.ts';
import { type SyncCause, SyncLoop } from './sync-loop.ts';

/**
 * Keeps this node in order until `stop` is aborted; the data path stays then. Throws CniError when it cannot
 * begin.
 */
export const runAgent = async (settings: AgentSettings, stop: AbortSignal): Promise<void> => {
  const log = createLog(settings.logLevel, settings.node);
  const status = new AgentStatus(settings.registry.kind);
  const metrics = createMetrics(status);
  const agent = new Agent(settings, new Reporter(log, status, metrics), log);
  const registry = await agent.open();
  const server = settings.health && startHealthServer(settings.health, status, metrics);
  log.info(
    { vni: settings.vni, registry: registry.kind, ...(server && { health: server.url }) },
    'the agent begins',
  );
  removeStaleConflist(settings, log);
  await agent.run(registry, stop);
  log.info('the agent ends; the data path stays');
};

/** Milliseconds. */
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
const LAST_SYNC_MS = 2_000;

const backoff = () => createBackoff(FIRST_PAUSE_MS, LONGEST_PAUSE_MS);

class Agent {
  readonly #settings: AgentSettings;
  readonly #reporter: Reporter;
  readonly #log: Log;
  readonly #sync: NodeSync;
  readonly #loop: SyncLoop;
  #announcer: Announcer | undefined;
  /** What syncs bring about: the last list that could be acted on. */
  #wanted: { own: OverlayNode; nodes: OverlayNode[] } | undefined;
  /** The devices whose changes matter; undefined when all may. */
  #devices: ReadonlySet<string> | undefined;

  constructor(settings: AgentSettings, reporter: Reporter, log: Log) {
    this.#settings = settings;
    this.#reporter = reporter;
    this.#log = log;
    this.#sync = new NodeSync(settings, log);
    this.#loop = new SyncLoop({
      sync: (cause) => this.#runSync(cause),
      intervalMs: settings.syncIntervalMs,
      backoff: backoff(),
    });
  }

  /** The registry, and whoever makes this node known where nodes do that themselves. Throws CniError. */
  async open(): Promise<Registry> {
    const { registry: settings, ...others } = this.#settings;
    if (settings.kind !== 'etcd') return openRegistry(settings);
    const registry = await openEtcdRegistry(settings);
    this.#announcer = new Announcer({
      announce: registry.announce,
      describe: (signal) => describeOwnNode({ ...others, registry: settings }, registry, signal),
      backoff: backoff(),
      onTrouble: (error) => this.#reporter.registryFailed(error),
    });
    return registry;
  }

  async run(registry: Registry, stop: AbortSignal): Promise<void> {
    const onLink = (device: string | undefined): void => {
      if (device !== undefined && this.#devices?.has(device) === false) return;
      this.#announcer?.refresh();
      this.#loop.request('kernel');
    };
    const loop = this.#loop.run(stop);
    void this.#announcer?.run(stop);
    void this.#watch(registry, stop);
    void watchLinks(onLink, { log: this.#log, backoff: backoff(), signal: stop });
    await new Promise((resolve) => {
      if (stop.aborted) resolve(undefined);
      else stop.addEventListener('abort', resolve, { once: true });
    });
    // A sync in the middle leaves nothing half-made if it may end; one that takes long is carried on by the next agent.
    await Promise.race([loop, Bun.sleep(LAST_SYNC_MS)]);
  }

  /** For as long as the agent runs, also if a watch ends that should not. */
  async #watch(registry: Registry, stop: AbortSignal): Promise<void> {
    const pauses = backoff();
    await this.#announcer?.known;
    while (!stop.aborted) {
      try {
        await registry.watch(
          {
            nodes: (nodes, refused) => {
              pauses.reset();
              this.#accept(nodes, refused);
            },
            trouble: (error) => this.#reporter.registryFailed(error),
          },
          stop,
        );
      } catch (error) {
        this.#reporter.registryFailed(toCniError(error));
      }
      await pause(pauses.next(), stop);
    }
  }

  #accept(nodes: OverlayNode[], refused: string[]): void {
    this.#reporter.registryTold(nodes, refused);
    const judgement = judgeNodes(nodes, this.#settings.node, this.#settings.registry.kind);
    if ('waiting' in judgement) {
      this.#reporter.waiting(judgement.waiting);
      return;
    }
    this.#reporter.waiting(undefined);
    this.#wanted = { own: judgement.own, nodes };
    this.#loop.request('nodes');
  }

  async #runSync(cause: SyncCause): Promise<boolean> {
    if (this.#wanted === undefined) return true;
    const { own, nodes } = this.#wanted;
    const started = performance.now();
    this.#reporter.syncBegins();
    try {
      const result = await this.#sync.run(own, nodes, cause);
      this.#devices = new Set([result.overlay.state.device, result.overlay.state.underlay.device]);
      this.#reporter.synced(result);
      return true;
    } catch (error) {
      this.#devices = undefined;
      this.#reporter.syncFailed(toCniError(error), performance.now() - started);
      return false;
    }
  }
}

/** After a reboot the runtime would take a node for ready whose VTEP is not there yet. */
const removeStaleConflist = ({ vni, confDir }: AgentSettings, log: Log): void => {
  if (readNodeState(vni) !== undefined) return;
  const path = conflistPath(confDir);
  if (removeConflist(path)) log.info({ path, device: vtepDevice(vni) }, 'removed until the node is ready');
};
