import { toCniError } from '../shared/cni/errors.ts';
import { readNodeState } from '../shared/overlay/node-state.ts';
import type { OverlayNode } from '../shared/overlay/types.ts';
import { vtepDevice } from '../shared/overlay/vtep.ts';
import { Announcer } from './announcer.ts';
import { createBackoff } from './backoff.ts';
import { conflistPath, removeConflist } from './conflist-file.ts';
import { startHealthServer } from './health.ts';
import { type AgentIpam, readAgentIpam } from './ipam/ipam-config.ts';
import { countingConflicts, createIpamMetrics, type IpamMetrics } from './ipam/ipam-metrics.ts';
import { IpamKeeper } from './ipam/keeper.ts';
import { PodRoutes } from './ipam/pod-routes.ts';
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
import { readTemplate } from './template.ts';

/**
 * Keeps this node in order until `stop` is aborted; the data path stays then. Throws CniError when it cannot
 * begin.
 */
export const runAgent = async (settings: AgentSettings, stop: AbortSignal): Promise<void> => {
  const log = createLog(settings.logLevel, settings.node);
  const status = new AgentStatus(settings.registry.kind);
  const metrics = createMetrics(status);
  const template = readTemplate(settings.conflistTemplate);
  const ipam = await readAgentIpam(settings, template);
  const reporter = new Reporter(log, status, metrics);
  const agent = new Agent(settings, reporter, log, new NodeSync(settings, log, template, ipam?.json));
  if (ipam !== undefined) agent.useIpam(ipam, status, createIpamMetrics(metrics.registry));
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
  #ipam: { keeper: IpamKeeper; routes: PodRoutes } | undefined;
  /** What the registry told last. */
  #registered: { nodes: OverlayNode[]; refused: string[] } | undefined;
  /** What syncs bring about: the last list that could be acted on. */
  #wanted: { own: OverlayNode; nodes: OverlayNode[] } | undefined;
  /** The devices whose changes matter; undefined when all may. */
  #devices: ReadonlySet<string> | undefined;

  constructor(settings: AgentSettings, reporter: Reporter, log: Log, sync: NodeSync) {
    this.#settings = settings;
    this.#reporter = reporter;
    this.#log = log;
    this.#sync = sync;
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

  /** From now on routes go by what cluster-ipam gave to each node, too. */
  useIpam(ipam: AgentIpam, status: AgentStatus, metrics: IpamMetrics): void {
    const { cluster } = ipam;
    const connect = async () =>
      countingConflicts(await cluster.node.connect(), () => metrics.conflicts.inc());
    const keeper = new IpamKeeper({
      ipam: { ...ipam, cluster: { ...cluster, node: { ...cluster.node, connect } } },
      log: this.#log,
      metrics,
      confDir: this.#settings.confDir,
      intervalMs: this.#settings.syncIntervalMs,
      onChange: () => this.#consider(),
      onTrouble: (error) => status.ipamIs(error),
    });
    const blocksNameVteps = cluster.prefix === 'block';
    this.#ipam = { keeper, routes: new PodRoutes({ network: cluster.node.network, blocksNameVteps }) };
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
    void this.#ipam?.keeper.run(stop);
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
    this.#registered = { nodes, refused };
    this.#reporter.registryTold(nodes);
    // A list without this node is no evidence that others are gone.
    const isSound = nodes.some(({ name }) => name === this.#settings.node);
    this.#ipam?.keeper.nodesAre(new Set(isSound ? nodes.map(({ name }) => name) : []));
    this.#consider();
  }

  /** Decides what is to be brought about, by what the registry and the datastore of cluster-ipam told. */
  #consider(): void {
    if (this.#registered === undefined) return;
    let { nodes, refused } = this.#registered;
    if (this.#ipam !== undefined) {
      const view = this.#ipam.keeper.view;
      if (view === undefined) {
        this.#reporter.waiting('the datastore of cluster-ipam has not told of blocks and addresses yet');
        return;
      }
      const routed = this.#ipam.routes.nodes(nodes, view);
      nodes = routed.nodes;
      refused = [...refused, ...routed.refused];
    }
    this.#reporter.leftOut(refused);
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
