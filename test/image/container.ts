import { mkdirSync, writeFileSync } from 'node:fs';
import type { RunOptions } from '../support/process.ts';
import { type Outcome, systemPath } from '../support/process.ts';
import type { TestHost } from '../support/test-host.ts';
import type { UnpackedImage } from './unpacked-image.ts';

export interface ContainerOptions extends Pick<RunOptions, 'timeout'> {
  /** The arguments of the image's entry point; with `entrypoint`, of that. */
  args: string[];
  entrypoint?: string[];
  /** Number of user and group; root unless given. */
  user?: number;
  /** All that it has; none unless given. */
  capabilities?: string[];
  /** Directories of the host, by where the container sees them. */
  mounts?: Record<string, string>;
}

/**
 * Runs the image with runc as a DaemonSet with `hostNetwork` does: in the host's network namespace and with its own
 * of everything else, a read-only root, no new privileges, and no capability that is not named.
 */
export const runContainer = async (
  host: TestHost,
  { rootfs, config }: UnpackedImage,
  {
    args,
    entrypoint = config.Entrypoint,
    user = 0,
    capabilities = [],
    mounts = {},
    timeout,
  }: ContainerOptions,
): Promise<Outcome> => {
  const id = `podwire-image-${crypto.randomUUID()}`;
  const bundle = `/run/${id}`;
  const names = capabilities.map((name) => `CAP_${name}`);
  const spec = {
    ociVersion: '1.0.2',
    root: { path: rootfs, readonly: true },
    process: {
      args: [...entrypoint, ...args],
      env: config.Env,
      cwd: '/',
      user: { uid: user, gid: user },
      noNewPrivileges: true,
      capabilities: { bounding: names, effective: names, permitted: names },
    },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755'] },
      ...Object.entries(mounts).map(([destination, source]) => ({
        destination,
        source,
        type: 'bind',
        options: ['rbind', 'rw'],
      })),
    ],
    linux: { namespaces: ['pid', 'ipc', 'uts', 'mount'].map((type) => ({ type })) },
  };
  mkdirSync(host.path(bundle));
  writeFileSync(host.path(`${bundle}/config.json`), JSON.stringify(spec));
  return host.attempt(['runc', '--root', '/run/runc', 'run', '--bundle', bundle, id], {
    env: { PATH: systemPath },
    timeout: timeout ?? 60_000,
  });
};
