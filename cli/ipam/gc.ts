import { toCniError } from '../../shared/cni/errors.ts';
import { heldUntil } from '../../shared/ipam/fixed.ts';
import { maintain } from '../../shared/ipam/maintain.ts';
import type { IpamNode } from '../../shared/ipam/node.ts';
import { addressValue } from '../../shared/ipam/sync.ts';
import { contains, parseAddress, parseCidr } from '../../shared/kernel/address-math.ts';
import { ReportedFailure, renderError } from '../failure.ts';
import { renderSections } from '../table.ts';
import { type Style, styleFor, writeErr } from '../terminal.ts';
import type { Finding } from './finding.ts';
import { freeHere } from './free.ts';
import { findIpamNetwork, type IpamFlags } from './network.ts';
import { print } from './print.ts';
import { confirmedFindings, type Survey } from './survey.ts';

export type GcFlags = IpamFlags & { knownNode?: string[]; dryRun?: boolean };

/** What gc does, or would do. */
export interface Collected {
  /** Leaks of this node that were freed. */
  freed: string[];
  /** Empty blocks of this node that went back. */
  returned: string[];
  /** How often the datastore was told of a release that it did not know of. */
  told: number;
  /** Fixed addresses of this node that no container had. */
  orphans: number;
  /** Addresses whose hold time was over. */
  expired: number;
  /** Of nodes that are not among those told with `--known-node`. */
  reclaimed: { blocks: string[]; addresses: string[]; marked: number };
}

/**
 * Frees what `check` calls safely leaked, and does what the agent does from time to time. With `--dry-run` it tells
 * what would be done. Throws CniError, and ReportedFailure when leaks were freed but the datastore is away.
 */
export const gc = async (flags: GcFlags): Promise<void> => {
  const { node } = findIpamNetwork(flags).cluster;
  const { seen, findings } = await confirmedFindings(node, 0);
  const leaked = findings.flatMap(({ gc: isSafe, leaked: held }) =>
    isSafe && held !== undefined ? [held] : [],
  );
  if (flags.dryRun === true) {
    if (seen.unreachable !== undefined) throw seen.unreachable;
    const plan = planned(node, seen, findings);
    const would = findings.filter(({ gc: isSafe }) => isSafe).map(({ what }) => what);
    print(flags, { dryRun: true, ...plan, findings: would }, () => renderCollected(plan, true, styleFor(1)));
    return;
  }
  const freed = leaked.length > 0 ? await freeHere(node, leaked) : [];
  try {
    const collected = { freed, ...(await maintain(node, new Set(flags.knownNode ?? []))) };
    print(flags, { dryRun: false, ...collected }, () => renderCollected(collected, false, styleFor(1)));
  } catch (thrown) {
    if (freed.length === 0) throw thrown;
    const error = toCniError(thrown);
    print(flags, { dryRun: false, freed, error: error.message }, () => `freed ${freed.join(', ')}\n`);
    writeErr(renderError(error, styleFor(2)));
    throw new ReportedFailure();
  }
};

/** What gc would do, as far as it can be told beforehand: what other nodes have is not looked at. */
export const planned = (
  { now }: Pick<IpamNode, 'now'>,
  { local, remote }: Pick<Survey, 'local' | 'remote'>,
  findings: readonly Finding[],
): Collected => {
  const freed = findings.flatMap(({ gc: isSafe, leaked }) =>
    isSafe && leaked !== undefined ? [leaked.address] : [],
  );
  const countOf = (code: string) => findings.filter((finding) => finding.code === code).length;
  return {
    freed,
    returned: surplus(local, remote, freed),
    told: countOf('release-not-told'),
    orphans: countOf('record-without-container'),
    expired: (remote?.addresses ?? [])
      .map(addressValue)
      .filter((value) => value.containerId === undefined && heldUntil(value) <= now()).length,
    reclaimed: { blocks: [], addresses: [], marked: 0 },
  };
};

/** Empty blocks but one of each pool that gives addresses. */
const surplus = (
  { blocks, held, pools: known }: Survey['local'],
  remote: Survey['remote'],
  freed: readonly string[],
): string[] => {
  const active = new Set(
    (remote?.pools ?? known).filter(({ disabled }) => !disabled).map(({ name }) => name),
  );
  const left = held
    .filter(({ address }) => !freed.includes(address))
    .flatMap(({ address }) => parsed(address));
  const spared = new Set<string>();
  return blocks.flatMap(({ cidr, pool }) => {
    const block = parseCidr(cidr);
    if (block === undefined || left.some((address) => contains(block, address))) return [];
    if (!active.has(pool) || spared.has(pool)) return [cidr];
    spared.add(pool);
    return [];
  });
};

const parsed = (text: string) => {
  const address = parseAddress(text);
  return address === undefined ? [] : [address];
};

export const renderCollected = (
  { freed, returned, told, orphans, expired, reclaimed }: Collected,
  isDryRun: boolean,
  style: Style,
): string => {
  const rows: [string, string][] = [
    ['leaks freed', freed.join(', ')],
    ['empty blocks returned', returned.join(', ')],
    ['releases told to the datastore', told > 0 ? String(told) : ''],
    ['fixed addresses without container freed', orphans > 0 ? String(orphans) : ''],
    ['holds ended', expired > 0 ? String(expired) : ''],
    ['blocks of nodes that are gone reclaimed', reclaimed.blocks.join(', ')],
    ['addresses of nodes that are gone freed', reclaimed.addresses.join(', ')],
    ['records marked as of nodes that are gone', reclaimed.marked > 0 ? String(reclaimed.marked) : ''],
  ];
  const done = rows.filter(([, what]) => what !== '');
  if (done.length === 0) return isDryRun ? 'there is nothing to do\n' : 'there was nothing to do\n';
  return renderSections([{ label: isDryRun ? 'would be' : 'done', rows: done }], style);
};
