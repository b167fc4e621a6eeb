import { CniError } from '../../shared/cni/errors.ts';
import { ReportedFailure, renderError } from '../failure.ts';
import { columnsOf, styleFor, writeErr } from '../terminal.ts';
import { nodeAccounts, podAccounts, poolAccounts } from './accounts.ts';
import { barStyle } from './bar.ts';
import { findIpamNetwork, type IpamFlags } from './network.ts';
import { observeLocal, tryRemote } from './observe.ts';
import { podNames } from './pod-names.ts';
import { print } from './print.ts';
import { renderNodes, renderPods, renderPools } from './render.ts';

export type ShowFlags = IpamFlags & { by: 'pool' | 'node' | 'pod'; cacheDir: string };

/**
 * The use of pools, nodes' blocks, or addresses of pods. Where the datastore cannot be asked, what this node knows is
 * shown. Throws ReportedFailure then.
 */
export const show = async (flags: ShowFlags): Promise<void> => {
  const { node } = findIpamNetwork(flags).cluster;
  const local = await observeLocal(node);
  const remote = await tryRemote(node);
  const isReached = !(remote instanceof CniError);
  const view = isReached ? remote : { pools: local.pools, refused: [], blocks: [], addresses: [] };
  const surroundings = { columns: columnsOf(1), style: styleFor(1), bar: barStyle() };
  const problem = isReached ? {} : { error: remote.message };
  const base = { network: node.network, node: node.node, datastore: node.datastore, ...problem };
  if (flags.by === 'pool') {
    const pools = poolAccounts(view, isReached);
    const refused = view.refused.map(({ name: pool, error }) => ({ pool, reason: error.message }));
    print(flags, { ...base, pools, refused }, () => renderPools(pools, refused, surroundings));
  } else if (flags.by === 'node') {
    const nodes = nodeAccounts(node, view, local);
    print(flags, { ...base, nodes }, () => renderNodes(nodes, surroundings));
  } else {
    const names = podNames(node.network, flags.cacheDir, view.addresses);
    const pods = podAccounts(node, view, local, names);
    print(flags, { ...base, pods }, () => renderPods(pods, surroundings));
  }
  if (isReached) return;
  writeErr(renderError(remote, styleFor(2)));
  throw new ReportedFailure();
};
