import { CniError, ErrorCode } from '../shared/cni/errors.ts';
import { withRemote } from '../shared/ipam/node.ts';
import type { OverlayNode } from '../shared/overlay/types.ts';
import { type AgentIpam, readAgentIpam } from './ipam/ipam-config.ts';
import { PodRoutes } from './ipam/pod-routes.ts';
import { upkeep } from './ipam/upkeep.ts';
import { createLog } from './log.ts';
import { createMetrics } from './metrics.ts';
import { judgeNodes } from './node-list.ts';
import { NodeSync } from './node-sync.ts';
import { openEtcdRegistry, openRegistry } from './open-registry.ts';
import { describeOwnNode } from './own-node.ts';
import type { Registry } from './registry/registry.ts';
import { Reporter } from './reporter.ts';
import type { AgentSettings } from './settings.ts';
import { AgentStatus } from './status.ts';
import { readTemplate } from './template.ts';

/**
 * One sync with the nodes as the registry has them now. Throws CniError: 50 when the registry does not know
 * this node or its pod range, and what a sync throws.
 */
export const runOnce = async (settings: AgentSettings): Promise<void> => {
  const log = createLog(settings.logLevel, settings.node);
  const status = new AgentStatus(settings.registry.kind);
  const reporter = new Reporter(log, status, createMetrics(status));
  const template = readTemplate(settings.conflistTemplate);
  const ipam = await readAgentIpam(settings, template);
  const sync = new NodeSync(settings, log, template, ipam?.json);
  const { signal } = new AbortController();
  const registry = await openAnnounced(settings, signal);
  const { nodes: registered, refused } = await registry.list(signal);
  reporter.registryTold(registered);
  const routed = ipam && (await withPodRoutes(registered, ipam));
  reporter.leftOut([...refused, ...(routed?.refused ?? [])]);
  const nodes = routed?.nodes ?? registered;
  const judgement = judgeNodes(nodes, settings.node, settings.registry.kind);
  if ('waiting' in judgement) {
    throw new CniError(ErrorCode.notAvailable, judgement.waiting, {
      details: 'Nothing was changed on this node.',
    });
  }
  reporter.synced(await sync.run(judgement.own, nodes, 'kernel'));
};

/** Where nodes make themselves known, this one is known when this resolves. */
const openAnnounced = async (
  { registry: settings, ...others }: AgentSettings,
  signal: AbortSignal,
): Promise<Registry> => {
  if (settings.kind !== 'etcd') return openRegistry(settings);
  const registry = await openEtcdRegistry(settings);
  await registry.announce(await describeOwnNode({ ...others, registry: settings }, registry, signal), signal);
  return registry;
};

/** One round of upkeep, then the nodes with what cluster-ipam gave to each. */
const withPodRoutes = async (
  nodes: OverlayNode[],
  { cluster }: AgentIpam,
): Promise<{ nodes: OverlayNode[]; refused: string[] }> => {
  await upkeep(cluster, new Set());
  const view = await withRemote(cluster.node, async (datastore) => ({
    blocks: await datastore.list('blocks/'),
    addresses: await datastore.list('addresses/'),
  }));
  const routes = new PodRoutes({
    network: cluster.node.network,
    blocksNameVteps: cluster.prefix === 'block',
  });
  return routes.nodes(nodes, view);
};
