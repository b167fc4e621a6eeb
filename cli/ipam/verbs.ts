import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { firstClaimable } from '../../shared/ipam/blocks.ts';
import { choosePools } from '../../shared/ipam/choose.ts';
import { askerFor } from '../../shared/ipam/config.ts';
import { tellReleases } from '../../shared/ipam/give-back.ts';
import { maintain } from '../../shared/ipam/maintain.ts';
import { seedOf, withNode, withRemote } from '../../shared/ipam/node.ts';
import { spanOf } from '../../shared/ipam/ranges.ts';
import { noteReleases } from '../../shared/ipam/release.ts';
import { blockCidr } from '../../shared/ipam/sync.ts';
import { formatAddress, formatCidr, parseAddress } from '../../shared/kernel/address-math.ts';
import { ReportedFailure } from '../failure.ts';
import { renderSections } from '../table.ts';
import { columnsOf, styleFor, writeOut } from '../terminal.ts';
import { nodeAccounts, podAccounts, poolAccounts } from './accounts.ts';
import { findingsOf } from './findings.ts';
import { findIpamNetwork, type IpamFlags } from './network.ts';
import { observeLocal, observeRemote } from './observe.ts';
import { renderNodes, renderPods, renderPools } from './render.ts';

export type ShowFlags = IpamFlags & { by: 'pool' | 'node' | 'pod' };
export type ExplainFlags = IpamFlags & { namespace: string; pool?: string[] };

/** What the datastore and this node say of the use of addresses. */
export const show = async (name: string, flags: ShowFlags): Promise<void> => {
  const { node } = findIpamNetwork(name, flags).cluster;
  const [local, remote] = [await observeLocal(node), await observeRemote(node)];
  const style = styleFor(1);
  const columns = columnsOf(1);
  const refused = remote.refused.map(({ name: pool, error }) => ({ pool, reason: error.message }));
  if (flags.by === 'pool') {
    const pools = poolAccounts(remote);
    print(flags, { pools, refused }, () => renderPools(pools, refused, columns, style));
  } else if (flags.by === 'node') {
    const nodes = nodeAccounts(node, remote, local);
    print(flags, { nodes }, () => renderNodes(nodes, columns, style));
  } else {
    const pods = podAccounts(node, remote, local);
    print(flags, { pods }, () => renderPods(pods, style));
  }
};

/** Whether datastore, node and kernel agree. Throws ReportedFailure when they do not. */
export const check = async (name: string, flags: IpamFlags): Promise<void> => {
  const { node } = findIpamNetwork(name, flags).cluster;
  const [local, remote] = [await observeLocal(node), await observeRemote(node)];
  const findings = findingsOf(node, local, remote);
  const style = styleFor(1);
  print(flags, { findings }, () =>
    findings.length === 0
      ? `${style.green('✓')} ${local.held.length} addresses in ${local.blocks.length} blocks of node ${node.node}: in order\n`
      : findings
          .map(({ kind, what, advice }) => `${style.red(kind)}  ${what}\n  ${style.dim(advice)}\n`)
          .join(''),
  );
  if (findings.length > 0) throw new ReportedFailure();
};

/** Which pools a pod may use and why, and of which block its next address would be. */
export const explain = async (name: string, flags: ExplainFlags): Promise<void> => {
  const { cluster } = findIpamNetwork(name, flags);
  const { node } = cluster;
  const [local, remote] = [await observeLocal(node), await observeRemote(node)];
  const choice = choosePools(remote.pools, askerFor(cluster, flags.namespace, flags.pool));
  const taken = remote.blocks.flatMap((record) => {
    const cidr = blockCidr(record);
    return cidr === undefined ? [] : [spanOf(cidr)];
  });
  const pools = choice.pools.map((pool) => {
    const blocks = local.blocks.filter((block) => block.pool === pool.name);
    const next = firstClaimable(pool, seedOf(node), taken, node.ownSubnet);
    return {
      pool: pool.name,
      cidr: formatCidr(pool.cidr),
      blocks,
      nextBlock: next === undefined ? null : formatCidr(next),
    };
  });
  const trail = choice.trail.map(({ pool, isEligible, reason }) => ({ pool, isEligible, reason }));
  const refused = remote.refused.map(({ name: pool, error }) => ({
    pool,
    isEligible: false,
    reason: error.message,
  }));
  print(flags, { node: node.node, trail: [...trail, ...refused], pools }, () => {
    const style = styleFor(1);
    const rows = [...trail, ...refused].map(({ pool, isEligible, reason }) => [
      isEligible ? '✓' : '✗',
      pool,
      reason,
    ]);
    const order = pools.map(({ pool, cidr, blocks, nextBlock }, index) => [
      `${index + 1}. ${pool} ${cidr}`,
      blocks.map((block) => `${block.cidr} (${block.free} of ${block.size} free)`).join(', ') ||
        'no block here yet',
      nextBlock === null ? 'every block is claimed' : `next: ${nextBlock}`,
    ]);
    return renderSections(
      [
        { label: 'pools', rows },
        { label: 'order', rows: order.length > 0 ? order : [['a pod gets no address']] },
      ],
      style,
    );
  });
};

/** Frees an address of this node, in the datastore, too, where it is fixed. Throws CniError 102 when nobody here holds it, 103 when its container seems alive. */
export const release = async (
  name: string,
  text: string,
  flags: IpamFlags & { force?: boolean },
): Promise<void> => {
  const { node } = findIpamNetwork(name, flags).cluster;
  const address = parseAddress(text);
  const { held } = await observeLocal(node);
  const found = address && held.find((each) => each.address === formatAddress(address));
  if (found === undefined) {
    throw new CniError(
      ErrorCode.addressUnavailable,
      `nobody on node ${node.node} holds ${text} of network "${name}"`,
      {
        details: 'podwire ipam show --by pod tells which are held.',
      },
    );
  }
  if (flags.force !== true && !found.isStale && found.isNetnsGone !== true) {
    throw new CniError(
      ErrorCode.conflict,
      `${text} is held by container ${found.containerId} ${found.ifname}, whose netns ${found.netns ?? ''} ${found.isNetnsGone === undefined ? 'is not known' : 'is there'}`,
      {
        details:
          'DEL the container. With --force the address is freed all the same, and may then be had by two.',
      },
    );
  }
  await withNode(node, (store, state) => {
    for (const reservation of store.all()) {
      if (reservation.address === found.address && reservation.containerId === found.containerId)
        store.release(reservation);
    }
    noteReleases(store, state, node.now());
  });
  await withRemote(node, (datastore) => tellReleases(node, datastore));
  print(flags, { released: found.address }, () => `released ${found.address}\n`);
};

/** What the agent does from time to time, now. */
export const gc = async (name: string, flags: IpamFlags & { node?: string[] }): Promise<void> => {
  const { node } = findIpamNetwork(name, flags).cluster;
  const done = await maintain(node, new Set(flags.node ?? []));
  print(flags, { ...done }, () =>
    renderSections(
      [
        {
          label: 'node',
          rows: [
            ['blocks returned', done.returned.join(', ') || 'none'],
            ['releases told', String(done.told)],
            ['orphans freed', String(done.orphans)],
          ],
        },
        {
          label: 'cluster',
          rows: [
            ['holds ended', String(done.expired)],
            ['blocks reclaimed', done.reclaimed.blocks.join(', ') || 'none'],
            ['marked as of nodes that are gone', String(done.reclaimed.marked)],
          ],
        },
      ],
      styleFor(1),
    ),
  );
};

const print = ({ json }: IpamFlags, object: object, text: () => string): void =>
  writeOut(json === true ? `${JSON.stringify(object, null, 2)}\n` : text());
