import type { NetworkConfig } from '../../shared/cni/plugin.ts';
import { choosePools } from '../../shared/ipam/choose.ts';
import { type ClusterIpamConfig, requestOf } from '../../shared/ipam/config.ts';
import type { Labels } from '../../shared/ipam/records.ts';
import type { AddressRequest } from '../../shared/ipam/request.ts';
import { ReportedFailure } from '../failure.ts';
import { renderSections } from '../table.ts';
import { type Style, styleFor } from '../terminal.ts';
import { type Explained, explainFamily, familiesOf } from './explain-address.ts';
import { findIpamNetwork, type IpamFlags } from './network.ts';
import { observeLocal, observeRemote } from './observe.ts';
import { print } from './print.ts';

export type ExplainFlags = IpamFlags & {
  namespace: string;
  pod: string;
  ifname: string;
  node?: string;
  nodeLabel?: [string, string][];
  namespaceLabel?: [string, string][];
  annotation?: [string, string][];
};

export interface Explanation {
  node: string;
  network: string;
  /** `<namespace>/<name>` */
  pod: string;
  pools: { pool: string; isEligible: boolean; reason: string }[];
  families: Explained[];
}

/**
 * Which pools a pod may use and why, and where its next address would come from. Asks the datastore and changes nothing.
 * Throws CniError, and ReportedFailure when the pod would get no address.
 */
export const explain = async (flags: ExplainFlags): Promise<void> => {
  const { config, cluster } = findIpamNetwork(flags);
  const own = cluster.node.node;
  const node = { ...cluster.node, node: flags.node ?? own };
  // What another node has is known there; its blocks are in the datastore.
  const local = node.node === own ? await observeLocal(node) : undefined;
  const remote = await observeRemote(node);
  const request = requestFor(config, { ...cluster, node }, flags, node.node !== own);
  const choice = choosePools(remote.pools, request.asker);
  const families = familiesOf(cluster.families, choice, request).map((family) =>
    explainFamily(node, family, request, choice, remote, local),
  );
  const explanation: Explanation = {
    node: node.node,
    network: node.network,
    pod: request.pod,
    pools: [
      ...choice.trail.map(({ pool, isEligible, reason }) => ({ pool, isEligible, reason })),
      ...remote.refused.map(({ name: pool, error }) => ({ pool, isEligible: false, reason: error.message })),
    ],
    families,
  };
  print(flags, explanation, () => renderExplanation(explanation, styleFor(1)));
  if (families.length === 0 || families.some(({ source }) => source === 'none')) throw new ReportedFailure();
};

/** The request that an ADD of such a pod would make. */
const requestFor = (
  config: NetworkConfig,
  cluster: ClusterIpamConfig,
  { namespace, pod, ifname, nodeLabel, namespaceLabel, annotation }: ExplainFlags,
  isOtherNode: boolean,
): AddressRequest => {
  const runtimeConfig = { [annotationsCapability]: Object.fromEntries(annotation ?? []) };
  const args = new Map([
    ['K8S_POD_NAMESPACE', namespace],
    ['K8S_POD_NAME', pod],
  ]);
  const request = requestOf(
    cluster,
    { ...config, runtimeConfig },
    { command: 'ADD', containerId: '', netns: '', ifname, args, path: [], netnsOverride: false },
  );
  const { asker } = request;
  const nodeLabels: Labels = {
    ...(isOtherNode ? {} : asker.nodeLabels),
    ...Object.fromEntries(nodeLabel ?? []),
  };
  const namespaceLabels =
    namespaceLabel === undefined ? asker.namespaceLabels : Object.fromEntries(namespaceLabel);
  return { ...request, asker: { ...asker, nodeLabels, namespaceLabels } };
};

const annotationsCapability = 'io.kubernetes.cri.pod-annotations';

export const renderExplanation = (
  { node, network, pod, pools, families }: Explanation,
  style: Style,
): string =>
  `${style.bold(pod === '' ? 'a pod' : `pod ${pod}`)} on node ${node}, network ${network}\n${renderSections(
    [
      {
        label: 'pools',
        rows:
          pools.length === 0
            ? [['there are none']]
            : pools.map(({ pool, isEligible, reason }) => [
                isEligible ? style.green('✓') : style.red('✗'),
                pool,
                reason,
              ]),
      },
      ...families.map(({ family, steps, source, result }) => ({
        label: `IPv${family}`,
        rows: [
          ...steps.map((step, index) => [`${index + 1}. ${step}`]),
          [`${source === 'none' ? style.red('✗') : style.green('→')} ${result}`],
        ],
      })),
      {
        label: 'address',
        rows: families.length === 0 ? [[`${style.red('✗')} none: no pool is for this pod`]] : [],
      },
    ],
    style,
  )}`;
