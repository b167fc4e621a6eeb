import { readFileSync } from 'node:fs';
import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { isObject, show } from '../../shared/cni/fields.ts';
import type { JsonObject } from '../../shared/cni/types.ts';
import { type ClusterIpamConfig, parseClusterIpam } from '../../shared/ipam/config.ts';
import { ioFailure } from '../../shared/store/io-failure.ts';
import type { KubernetesAccess } from '../../shared/store/kubernetes/access.ts';
import type { AgentSettings } from '../settings.ts';

/** cluster-ipam as the agent and the node's plugins have it. */
export interface AgentIpam {
  cluster: ClusterIpamConfig;
  /** `ipam` of the network configuration. */
  json: JsonObject;
  /** With the datastore in Kubernetes: how this agent reaches it. */
  kubernetes: KubernetesAccess | undefined;
}

/**
 * cluster-ipam of `--ipam-config`, or else of the template's vxlan plugin; undefined when neither asks for it. The
 * node's name is the agent's in either. Throws CniError 5, 6 or 7.
 */
export const readAgentIpam = async (
  settings: AgentSettings,
  template: JsonObject | undefined,
): Promise<AgentIpam | undefined> => {
  const { ipamConfig, node, registry } = settings;
  const given = ipamConfig === undefined ? ofTemplate(template) : readFile(ipamConfig);
  if (given === undefined) return undefined;
  const json: JsonObject = { ...given, nodeName: node };
  const name = typeof template?.name === 'string' ? template.name : 'podwire';
  const cluster = parseClusterIpam({
    ...{ cniVersion: '1.1.0', name, type: 'vxlan', json: { name, ipam: json } },
    ...{ prevResult: undefined, runtimeConfig: {}, cniArgs: {} },
  });
  const { datastore } = json;
  if (!isObject(datastore) || datastore.type !== 'kubernetes' || registry.kind !== 'kubernetes')
    return { cluster, json, kubernetes: undefined };
  // The plugins have a kubeconfig that the agent writes; the agent has its service account.
  const [{ findAccess }, { createKubernetesDatastore }] = await Promise.all([
    import('../../shared/store/kubernetes/find-access.ts'),
    import('../../shared/store/datastore/kubernetes.ts'),
  ]);
  const kubernetes = findAccess({ kubeconfig: registry.kubeconfig });
  const connect = async () => createKubernetesDatastore(kubernetes);
  return { cluster: { ...cluster, node: { ...cluster.node, connect } }, json, kubernetes };
};

const ofTemplate = (template: JsonObject | undefined): JsonObject | undefined => {
  const plugins = Array.isArray(template?.plugins) ? template.plugins.filter(isObject) : [];
  const ipam = plugins.find(({ type }) => type === 'vxlan')?.ipam;
  return isObject(ipam) && ipam.type === 'cluster-ipam' ? ipam : undefined;
};

const readFile = (file: string): JsonObject => {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw ioFailure(`read --ipam-config ${file}`, cause);
    const message = `--ipam-config ${file} is not valid JSON: ${cause.message}`;
    throw new CniError(ErrorCode.decodingFailure, message, { cause });
  }
  if (isObject(value) && value.type === 'cluster-ipam') return value;
  throw new CniError(
    ErrorCode.invalidNetworkConfig,
    `--ipam-config ${file} is no configuration of cluster-ipam, got ${show(value)}`,
    {
      details: 'It is the "ipam" of a network configuration: { "type": "cluster-ipam", "datastore": { … } }.',
    },
  );
};
