import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { lackingRoot, lackingTools } from '../support/needs.ts';
import { programPath, systemPath } from '../support/process.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { makeBusyboxImage } from './busybox-image.ts';

/** A host on which a container runtime can run. */
export interface RuntimeHost {
  host: TestHost;
  /** Parent of the containers' cgroups: `/podwire-test-…`. Goes with the host. */
  cgroup: string;
  /** The archive of an image that holds busybox. */
  image: string;
  dispose(): Promise<void>;
}

/** Why no container runtime can run here, or undefined when one can. */
export const lackingRuntime = (...tools: string[]): string | undefined =>
  lackingRoot() ?? lackingTools('runc', 'busybox', 'tar', ...tools) ?? lackingCgroups();

/**
 * Makes a host with a PID namespace, cgroups, an /etc of its own without CNI configuration, and
 * `plugins` (name of the plugin → directory to take it from) in /opt/cni/bin.
 */
export const createRuntimeHost = async (
  name: string,
  plugins: Record<string, string>,
): Promise<RuntimeHost> => {
  const host = await createHost({ name, pidNamespace: true });
  try {
    await host.shell(mountCgroups);
    const cgroup = `/podwire-test-${process.pid}-${crypto.randomUUID().slice(0, 8)}`;
    const removeCgroups = startCgroupJanitor(host, cgroup);
    await host.shell(ownEtcAndOpt);
    for (const [plugin, directory] of Object.entries(plugins)) {
      await host.exec(['ln', '-s', `${directory}/${plugin}`, `/opt/cni/bin/${plugin}`]);
    }
    const image = await makeBusyboxImage(host);
    const dispose = async (): Promise<void> => {
      await host.dispose();
      await removeCgroups();
    };
    return { host, cgroup, image, dispose };
  } catch (error) {
    await host.dispose();
    throw error;
  }
};

/** Writes a network list as /etc/cni/net.d/<file>. */
export const writeConflist = async (host: TestHost, file: string, conflist: object): Promise<void> => {
  await host.exec(['tee', `/etc/cni/net.d/${file}`], { stdin: JSON.stringify(conflist) });
};

// A sysfs of our own hides the machine's cgroups. Version 1 has one hierarchy for each line, version 2 one.
const mountCgroups = `
if [ "$(cat /proc/self/cgroup | wc -l)" = 1 ] && grep -q '^0::' /proc/self/cgroup; then
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
else
  mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
  while IFS=: read -r _ controllers _; do
    [ -n "$controllers" ] || continue
    mkdir "/sys/fs/cgroup/\${controllers#name=}"
    mount -t cgroup -o "$controllers" cgroup "/sys/fs/cgroup/\${controllers#name=}"
  done </proc/self/cgroup
fi
`;

const ownEtcAndOpt = `
mkdir -p /run/.etc/up /run/.etc/work
mount -t overlay -o lowerdir=/etc,upperdir=/run/.etc/up,workdir=/run/.etc/work overlay /etc
mkdir -p /etc/cni/net.d
mount -t tmpfs -o mode=755 tmpfs /etc/cni/net.d
mount -t tmpfs -o mode=755 tmpfs /opt
mkdir -p /opt/cni/bin
`;

// A version 1 hierarchy is a directory below, version 2 is /sys/fs/cgroup itself.
const cgroupDirectories = (cgroup: string): string => `/sys/fs/cgroup/*${cgroup} /sys/fs/cgroup${cgroup}`;

const lackingCgroups = (): string | undefined => {
  const probe = `mount -t sysfs sysfs /sys
    ${mountCgroups}
    set -- /sys/fs/cgroup/*/
    if [ -e /sys/fs/cgroup/cgroup.procs ]; then cd /sys/fs/cgroup; else cd "$1"; fi
    mkdir podwire-probe-$$
    rmdir podwire-probe-$$`;
  const argv = ['--net', '--mount', '--propagation', 'private', '/bin/sh', '-ec', probe];
  const { status, stderr } = spawnSync(programPath('unshare'), argv, {
    encoding: 'utf8',
    env: { PATH: systemPath },
  });
  return status === 0 ? undefined : `cannot make cgroups: ${stderr.trim().split('\n').at(-1)}`;
};

// Waits for our end of its stdin to close, also by our death, then for the containers' processes to be
// gone. Its own session keeps Ctrl-C from it.
const startCgroupJanitor = (host: TestHost, cgroup: string): (() => Promise<void>) => {
  const script = `read -r _
    for try in $(seq 100); do
      left=$(ls -d ${cgroupDirectories(cgroup)} 2>/dev/null)
      [ -n "$left" ] || exit 0
      find $left -depth -type d -exec rmdir {} + 2>/dev/null
      sleep 0.1
    done
    exit 1`;
  const argv = [`--mount=/proc/${host.pid}/ns/mnt`, '--', '/bin/sh', '-c', script];
  const janitor = spawn(programPath('nsenter'), argv, {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  return async () => {
    const ended = once(janitor, 'exit');
    janitor.stdin?.end();
    const [exitCode] = (await ended) as [number | null];
    if (exitCode !== 0) throw new Error(`cgroup ${cgroup} cannot be removed`);
  };
};
