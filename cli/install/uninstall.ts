import { existsSync, readdirSync, statSync } from 'node:fs';
import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { withNftSocket } from '../../shared/kernel/nft-socket.ts';
import { overlaysOf, refuseRunningAgent, removeOverlayOf } from './agent-state.ts';
import { withDirectoryLock } from './directory-lock.ts';
import { type HostPaths, onHost, runDirectory, stateDirectory } from './host-paths.ts';
import { inodeOf } from './identify.ts';
import { look } from './install.ts';
import { type Manifest, readManifest, writeManifest } from './manifest.ts';
import { removeNetworkState } from './network-state.ts';
import { type AttachedPod, findPods } from './pods.ts';
import { type LeftFile, type TakenBack, takeBackConflist, takeBackFiles } from './take-back.ts';

export interface UninstallReport extends TakenBack {
  /** What was removed of tables, chains, devices and state. */
  network: string[];
  /** Those that keep their network, with all that it needs. */
  pods: AttachedPod[];
  warnings: string[];
}

/**
 * Takes podwire off the node: network configuration, overlay, what the plugins have in the kernel, executables; in
 * this order, so that no pod comes meanwhile and the command is the last to go. Whatever a killed call left, another
 * one takes. With pods attached it refuses (CniError 103), or with `force` leaves all that they need as it is.
 * Without a manifest, executables that bear our mark go. Throws CniError 100 or 5 when something stays.
 */
export const uninstall = (paths: HostPaths, force: boolean): Promise<UninstallReport> => {
  const directory = onHost(paths, paths.binDir);
  return existsSync(directory)
    ? withDirectoryLock(directory, () => removeAll(paths, force))
    : removeAll(paths, force);
};

const removeAll = async (paths: HostPaths, force: boolean): Promise<UninstallReport> => {
  refuseOtherState(paths);
  const pods = await findPods(paths);
  if (pods.attached.length > 0 && !force) throw stillAttached(pods.attached);
  const manifest = readManifest(paths) ?? manifestOf(paths);
  refuseOtherDirectory(paths, manifest);
  const report: UninstallReport = {
    removed: [],
    restored: [],
    left: [],
    network: [],
    pods: pods.attached,
    warnings: warningsFor(pods.attached),
  };
  const overlays = pods.attached.length > 0 ? [] : overlaysOf(paths);
  for (const vni of overlays) await refuseRunningAgent(paths, vni);
  if (manifest.state === 'installed') writeManifest(paths, { ...manifest, state: 'changing' });
  takeBackConflist(paths, manifest, report);
  if (pods.attached.length === 0) {
    for (const vni of overlays) {
      removeOverlayOf(paths, vni);
      report.network.push(`overlay with the VNI ${vni}`);
    }
    report.network.push(...(await withNftSocket((socket) => removeNetworkState(socket, paths, pods))));
  }
  takeBackFiles(paths, manifest, report);
  report.left.push(...stateOfClusterIpam(paths));
  return report;
};

/** Pools, and who has which address, may be those of a whole cluster: not ours to remove with the executables. */
const stateOfClusterIpam = (paths: HostPaths): LeftFile[] =>
  ['ipam', 'datastore']
    .map((name) => `${stateDirectory}/${name}`)
    .filter((path) => existsSync(onHost(paths, path)))
    .map((path) => ({
      path,
      why: "cluster-ipam's blocks, addresses and pools: remove it if no node needs it",
    }));

/** What takes rules and overlays away goes by the records under their own path. */
const refuseOtherState = (paths: HostPaths): void => {
  const nodes = statSync(onHost(paths, runDirectory), { throwIfNoEntry: false });
  if (paths.root === '/' || nodes === undefined || readdirSync(onHost(paths, runDirectory)).length === 0)
    return;
  const ours = statSync(runDirectory, { throwIfNoEntry: false });
  if (ours !== undefined && inodeOf(ours) === inodeOf(nodes)) return;
  throw new CniError(
    ErrorCode.invalidNetworkConfig,
    `${runDirectory} is not the node's: --host-root ${paths.root} alone is not enough`,
    {
      details: `Mount the node's ${runDirectory} into the container at ${runDirectory}, too. Nothing was changed.`,
    },
  );
};

/** For executables that were copied by hand, or whose manifest is lost. */
const manifestOf = (paths: HostPaths): Manifest => {
  const present = look(onHost(paths, paths.binDir));
  return {
    version: 1,
    state: 'changing',
    podwire: { version: '', buildId: '', sha256: '' },
    binDir: paths.binDir,
    names: [...present].flatMap(([name, { kind }]) => (kind === 'ours' ? [name] : [])),
    everything: false,
    saved: [],
    made: [],
  };
};

const refuseOtherDirectory = ({ binDir }: HostPaths, manifest: Manifest): void => {
  if (manifest.binDir === binDir) return;
  throw new CniError(ErrorCode.conflict, `podwire is installed in ${manifest.binDir}, not in ${binDir}`, {
    details: `Leave --bin-dir out, or give --bin-dir ${manifest.binDir}.`,
  });
};

const stillAttached = (pods: readonly AttachedPod[]): CniError => {
  const count = pods.length === 1 ? '1 attachment' : `${pods.length} attachments`;
  return new CniError(
    ErrorCode.conflict,
    `podwire cannot be removed: ${count} of running pods depend on it`,
    {
      details: [
        ...pods.slice(0, MOST_SHOWN).map(name),
        ...(pods.length > MOST_SHOWN ? [`… and ${pods.length - MOST_SHOWN} more`] : []),
        'Remove these pods first (kubectl drain, podman rm). --force removes the executables only: the pods go on, but no',
        'plugin of ours will be there to delete them.',
      ].join('\n'),
    },
  );
};

const MOST_SHOWN = 20;

const name = ({ network, containerId, ifname }: AttachedPod): string =>
  `network ${network}, container ${containerId}, interface ${ifname}`;

const warningsFor = ({ length }: readonly AttachedPod[]): string[] =>
  length === 0
    ? []
    : [
        'what the network of these pods needs stays; once they are gone, call "podwire uninstall" again from any copy',
      ];
