import { readdirSync, rmSync } from 'node:fs';
import { deleteLink } from '../../shared/attachment/delete-link.ts';
import { removeFilters } from '../../shared/attachment/filters.ts';
import { isOurAlias } from '../../shared/attachment/host-interface-name.ts';
import { FIREWALL_RECORDS, recordedFirewall } from '../../shared/firewall/record.ts';
import { removeFirewall } from '../../shared/firewall/remove.ts';
import { runCommand } from '../../shared/kernel/command.ts';
import { listLinks, readLink } from '../../shared/kernel/link.ts';
import { nftError, startNft } from '../../shared/kernel/nft.ts';
import type { NftSocket } from '../../shared/kernel/nft-socket.ts';
import { toolPath } from '../../shared/kernel/tool-path.ts';
import { PORTMAP_RECORDS } from '../../shared/portmap/record.ts';
import { removePortmap } from '../../shared/portmap/remove.ts';
import { removeShaping } from '../../shared/shaping/remove.ts';
import { attachmentsDirectory } from '../../shared/store/attachments.ts';
import { ioFailure } from '../../shared/store/io-failure.ts';
import { removeIfEmpty } from './durable-files.ts';
import { type HostPaths, onHost, runDirectory } from './host-paths.ts';
import type { RecordedPods } from './pods.ts';
import { removeUnusedChains } from './unused-chains.ts';

/**
 * Takes away what our plugins have on a node without pods of ours: what is left of pods that went without a DEL,
 * our nftables tables, chains of iptables that nobody uses, devices, and the records. What the reference plugins
 * share with ours stays where a pod of theirs may use it. Returns what was removed, for a reader. Throws CniError
 * 100 or 5; may be called again.
 */
export const removeNetworkState = async (
  socket: NftSocket,
  paths: HostPaths,
  { stale }: Pick<RecordedPods, 'stale'>,
): Promise<string[]> => {
  const removed: string[] = [];
  for (const entry of stale) await removeStale(socket, entry);
  removed.push(...(await removeTables(socket)));
  removed.push(...(await removeUnusedChains(socket)));
  removed.push(...(await removeDevices(paths)));
  for (const directory of [runDirectory, INDEX_OF_RESERVATIONS]) {
    if (removeTree(onHost(paths, directory))) removed.push(directory);
  }
  return removed;
};

/** As DEL does, by the record alone. What nftables has of it goes with the tables. */
const removeStale = async (
  socket: NftSocket,
  { directory, record }: RecordedPods['stale'][number],
): Promise<void> => {
  if (directory === attachmentsDirectory) {
    await removeFilters(record, record, {
      ipamType: '',
      masquerade: record.masquerade === true,
      spoofCheck: record.spoofCheck === true,
    });
  }
  if (directory === PORTMAP_RECORDS) await removePortmap(record);
  const firewall = directory === FIREWALL_RECORDS ? recordedFirewall(record) : undefined;
  if (firewall !== undefined) {
    const { pod, options } = firewall;
    const zone = options.backend === 'firewalld' ? options.zone : undefined;
    await removeFirewall(socket, { pod, policy: options.ingressPolicy, zone });
  }
  await removeShaping(record, undefined);
};

/** Rebuilt by host-local when it is missing. */
const INDEX_OF_RESERVATIONS = '/var/lib/cni/networks/.podwire';

/** All tables of ours are named so; without nft there can be none. */
const removeTables = async (socket: NftSocket): Promise<string[]> => {
  if (toolPath('nft') === undefined) return [];
  const listed = runCommand('nft', ['list', 'tables']);
  if (listed.exitCode !== 0) return [];
  const tables = listed.stdout
    .split('\n')
    .flatMap((line) => /^table (\S+ podwire_\w+)$/.exec(line.trim())?.[1] ?? []);
  if (tables.length === 0) return [];
  const commands = tables.map((table) => `delete table ${table}`);
  const result = await startNft(socket, commands).result();
  if (result.exitCode !== 0) throw nftError(result, 'could not remove the nftables tables');
  return tables.map((table) => `nftables table ${table}`);
};

/**
 * Devices with our alias that no pod has any more, and bridges that our plugin made or changed since the boot (it
 * locks a file for each) and that have no ports.
 */
const removeDevices = async (paths: HostPaths): Promise<string[]> => {
  const links = listLinks();
  const used = new Set(links.map(({ master }) => master));
  const bridges = new Set(
    namesIn(onHost(paths, `${runDirectory}/locks`)).flatMap((name) => /^bridge-(.+)$/.exec(name)?.[1] ?? []),
  );
  const going = links.filter(
    ({ name, kind, alias, index }) =>
      (isOurAlias(alias) && (kind === 'ifb' || kind === 'veth')) ||
      (kind === 'bridge' && bridges.has(name) && !used.has(index)),
  );
  for (const { name } of going) await deleteLink(name);
  return going.filter(({ name }) => readLink(name) === undefined).map(({ name, kind }) => `${kind} ${name}`);
};

const namesIn = (directory: string): string[] => {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
};

/** All that is in it, and itself unless it is a mount of a container. Returns whether anything was in it. */
const removeTree = (directory: string): boolean => {
  try {
    const names = namesIn(directory);
    for (const name of names) rmSync(`${directory}/${name}`, { recursive: true, force: true });
    removeIfEmpty(directory);
    return names.length > 0;
  } catch (error) {
    throw ioFailure(`remove ${directory}`, error);
  }
};
