import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { programPath } from './process.ts';

/** The process that keeps a test host's namespaces alive. */
export interface Holder {
  /** As seen from here. */
  pid: number;
  pidNamespace: boolean;
  /** Kills all that shares its mount or PID namespace, then ends; the namespaces go with it. */
  end(): Promise<void>;
}

/**
 * Starts a holder and waits until its namespaces are set up; throws with the tool's message when the
 * machine refuses. It ends by itself when our end of its stdin closes, so also when we are killed.
 */
export const startHolder = async (name: string, pidNamespace: boolean): Promise<Holder> => {
  const unshare = ['--net', '--mount', '--propagation', 'private'];
  if (pidNamespace) unshare.push('--fork', '--pid', '--kill-child=KILL');
  const child = spawn(
    programPath('unshare'),
    [...unshare, '/bin/bash', '--norc', '-ec', script(pidNamespace)],
    {
      cwd: '/',
      stdio: ['pipe', 'pipe', 'pipe'],
    },
  );
  const ended = once(child, 'exit');
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const ready = await new Promise<string>((resolve) => {
    let stdout = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
      if (stdout.endsWith('\n')) resolve(stdout);
    });
    child.once('close', () => resolve(''));
  });
  const pid = Number(/^ready (\d+)$/m.exec(ready)?.[1] ?? Number.NaN);
  if (Number.isNaN(pid)) throw new Error(`cannot make the namespaces of host ${name}: ${stderr.trim()}`);
  const end = async (): Promise<void> => {
    child.stdin.end();
    await ended;
  };
  return { pid, pidNamespace, end };
};

// /var/lib keeps what is on the machine: an overlay where the kernel allows, else an empty tmpfs.
// The pid comes from a /proc that was mounted before a PID namespace was made, so it is the outer one.
// Without --norc bash would read ~/.bashrc where SHLVL is not set, for it takes our pipe, which is a socket, for
// that of rshd. `read` ends at end of file, and bash reaps orphans meanwhile, as process 1 has to.
const script = (pidNamespace: boolean): string => `
read -r outer _ </proc/self/stat
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/netns /run/podwire /run/cni /run/lock /run/.var-lib/up /run/.var-lib/work
mount -t sysfs sysfs /sys
mount -t overlay -o lowerdir=/var/lib,upperdir=/run/.var-lib/up,workdir=/run/.var-lib/work overlay /var/lib 2>/dev/null ||
  mount -t tmpfs -o mode=755 tmpfs /var/lib
mkdir -p /var/lib/cni
mount -t tmpfs -o mode=755 tmpfs /var/lib/cni
${pidNamespace ? 'mount -t proc proc /proc' : ''}
ip link set lo up
echo "ready $outer"
read -r _ || true
${pidNamespace ? '' : killAll}
`;

// With a PID namespace the kernel does it when its process 1 ends.
const killAll = `for link in /proc/[0-9]*/ns/mnt; do
  pid=\${link#/proc/}
  pid=\${pid%%/*}
  if [ "$pid" != $$ ] && [ "$link" -ef /proc/$$/ns/mnt ]; then kill -KILL "$pid" || true; fi
done`;
