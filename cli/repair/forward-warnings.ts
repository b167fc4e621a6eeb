import { toCniError } from '../../shared/cni/errors.ts';
import type { JsonValue } from '../../shared/cni/types.ts';
import { commandFailure, runCommand } from '../../shared/kernel/command.ts';
import { iptablesTool, legacyTablePresent } from '../../shared/kernel/iptables.ts';
import { listNftChains } from '../../shared/kernel/nft-read.ts';
import type { NftSocket } from '../../shared/kernel/nft-socket.ts';
import type { AttachmentRecord } from '../../shared/store/attachments.ts';
import { parseLegacyTable } from './forward-legacy.ts';
import { parseNftTable } from './forward-nft.ts';
import { closedChains, type ForwardedPod, type ForwardTable, namesPod } from './forward-table.ts';

/**
 * A sentence for each chain of others that drops what pods send through the host, unless a rule of its
 * table names them. It may be wrong in both directions (rules go by marks and much else), so it changes
 * no exit code, and CHECK does not ask. Throws nothing.
 */
export const forwardWarnings = (socket: NftSocket, records: readonly AttachmentRecord[]): string[] => {
  const pods = records.filter(isForwarded);
  if (pods.length === 0) return [];
  try {
    return [...nftTables(socket), ...legacyTables()].flatMap((table) => tableWarnings(table, pods));
  } catch (error) {
    return [`the rules for what is forwarded can't be read: ${toCniError(error).message}`];
  }
};

const tableWarnings = (table: ForwardTable, records: readonly AttachmentRecord[]): string[] =>
  closedChains(table).flatMap((chain) => {
    const unnamed = records.filter((record) => !namesPod(table, asForwarded(record, table)));
    if (unnamed.length === 0) return [];
    const [first] = unnamed;
    const whose =
      unnamed.length === 1
        ? `${first?.network} ${first?.containerId} ${first?.ifname}`
        : `${unnamed.length} attachments, such as ${first?.network} ${first?.containerId} ${first?.ifname}`;
    return [
      `chain ${table.label} ${chain} drops what is forwarded unless a rule accepts it, and none of that ` +
        `table names ${whose}. If their traffic does not pass, chain the "firewall" plugin behind this ` +
        'one, or let it pass in that firewall.',
    ];
  });

/** Whether the host has to route what the pod sends to the outside. */
const isForwarded = ({ masquerade, host }: AttachmentRecord): boolean =>
  masquerade === true || (host?.forwarding.length ?? 0) > 0;

/** With the addresses of the table's family alone. */
const asForwarded = (record: AttachmentRecord, { label }: ForwardTable): ForwardedPod => {
  const family = /^ip6? /.exec(label)?.[0].trim();
  return {
    addresses: record.addresses
      .map(({ address }) => address)
      .filter((address) => family === undefined || address.includes(':') === (family === 'ip6')),
    interfaces: [record.hostInterface, record.host?.bridge?.name].filter((name) => name !== undefined),
  };
};

const FORWARD_HOOK = 2;

/** The tables that have a chain on the forward hook, but ours; the question costs no child. */
const nftTables = (socket: NftSocket): ForwardTable[] => {
  const labels = (['inet', 'ip', 'ip6'] as const).flatMap((family) =>
    listNftChains(socket, family)
      .filter(({ table, hook }) => hook === FORWARD_HOOK && !table.startsWith('podwire_'))
      .map(({ table }) => `${family} ${table}`),
  );
  return [...new Set(labels)].map((label) => {
    const args = ['-j', 'list', 'table', ...label.split(' ')];
    const result = runCommand('nft', args);
    if (result.exitCode !== 0) throw commandFailure('nft', args, result, `reading the table ${label}`);
    return parseNftTable(label, JSON.parse(result.stdout) as JsonValue);
  });
};

const legacyTables = (): ForwardTable[] =>
  ([4, 6] as const)
    .filter((family) => legacyTablePresent(family, 'filter'))
    .map((family) => {
      const tool = iptablesTool(family, 'legacy', 'save');
      const result = runCommand(tool, ['-t', 'filter']);
      if (result.exitCode !== 0)
        throw commandFailure(tool, ['-t', 'filter'], result, 'reading the filter table');
      return parseLegacyTable(`${family === 4 ? 'ip' : 'ip6'} filter (iptables-legacy)`, result.stdout);
    });
