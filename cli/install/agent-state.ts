import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { listLinks } from '../../shared/kernel/link.ts';
import { withLock } from '../../shared/store/lock.ts';
import { type HostPaths, onHost, runDirectory } from './host-paths.ts';
import { ownExecutable } from './place.ts';

/** The VNIs of overlays that an agent or a plugin made on this node: by their state, or by their devices. */
export const overlaysOf = (paths: HostPaths): number[] => {
  const names = [
    ...namesIn(onHost(paths, `${runDirectory}/overlay`)),
    ...listLinks().flatMap(({ name, kind }) =>
      kind === 'vxlan' && name.startsWith('pwvxlan') ? name.slice(7) : [],
    ),
  ];
  return [...new Set(names.filter((name) => /^[1-9]\d{0,7}$/.test(name)).map(Number))].sort((a, b) => a - b);
};

/** Throws CniError 103 while an agent runs: it would put everything back. */
export const refuseRunningAgent = async (paths: HostPaths, vni: number): Promise<void> => {
  const file = onHost(paths, `${runDirectory}/locks/agent-${vni}`);
  if (!existsSync(file)) return;
  try {
    await withLock(file, () => {}, { deadlineMs: 0 });
  } catch (error) {
    if (!(error instanceof CniError) || error.code !== ErrorCode.tryAgainLater) throw error;
    throw new CniError(
      ErrorCode.conflict,
      `the agent of the overlay with the VNI ${vni} is running: process ${readFileSync(file, 'utf8').trim()}`,
      { details: 'Stop it first: delete its DaemonSet, or end its service.', cause: error },
    );
  }
};

/**
 * Takes an overlay off the node as `podwire agent --cleanup` does, which is what is called: VTEP, routes, NAT, state
 * and the agent's network configuration. Throws CniError 100 with what it said.
 */
export const removeOverlayOf = ({ confDir, root }: HostPaths, vni: number): void => {
  const args = [
    'agent',
    '--cleanup',
    '--vni',
    String(vni),
    '--cni-conf-dir',
    onHost({ root }, confDir),
    '--log-level',
    'error',
  ];
  const { status, stderr, error } = spawnSync(ownExecutable, args, {
    encoding: 'utf8',
    // Its name decides what the executable does.
    argv0: 'podwire',
    timeout: 60_000,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (status === 0) return;
  throw new CniError(ErrorCode.commandFailed, `could not remove the overlay with the VNI ${vni}`, {
    details: `"podwire agent --cleanup --vni ${vni}" said: ${(error?.message ?? stderr).trim()}`,
  });
};

const namesIn = (directory: string): string[] => {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
};
