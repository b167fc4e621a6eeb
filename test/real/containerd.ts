import type { Outcome, Running } from '../support/process.ts';
import { waitUntil } from '../support/wait-until.ts';
import { imageName } from './busybox-image.ts';
import type { RuntimeHost } from './runtime-host.ts';

/** Debian's containerd in a host of its own, driven with `ctr`. */
export interface Containerd {
  /** Runs a command in a new container with a CNI network, to its end, then removes the container. */
  run(id: string, command: string[]): Promise<Outcome>;
  /** The same, but returns when the container has its address; the outcome comes after `kill`. */
  start(id: string, command: string[], address: RegExp): Promise<Running>;
  /** Kills a container that was started; its removal calls DEL with an empty CNI_NETNS. */
  kill(id: string): Promise<void>;
}

/** Starts containerd and imports the image. It ends with the host. */
export const startContainerd = async ({ host, cgroup, image }: RuntimeHost): Promise<Containerd> => {
  await host.exec(['tee', '/run/containerd.toml'], { stdin: configuration });
  const daemon = host.start(['containerd', '--config', '/run/containerd.toml'], { timeout: 3_600_000 });
  let ended: string | undefined;
  void daemon.outcome.then(({ stderr }) => {
    ended = stderr.slice(-2000);
  });
  await waitUntil('containerd answers', async () => {
    if (ended !== undefined) throw new Error(`containerd ended:\n${ended}`);
    return (await host.attempt(['ctr', 'version'])).exitCode === 0;
  });
  await host.exec(['ctr', 'images', 'import', '--snapshotter', 'native', image]);

  const argv = (id: string, command: string[]): string[] => [
    ...[
      'ctr',
      'run',
      '--rm',
      '--cni',
      '--snapshotter',
      'native',
      '--cgroup',
      `${cgroup}/${id}`,
      imageName,
      id,
    ],
    ...command,
  ];
  const start = async (id: string, command: string[], address: RegExp): Promise<Running> => {
    const running = host.start(argv(id, command), { timeout: 3_600_000 });
    let early: Outcome | undefined;
    void running.outcome.then((outcome) => {
      early = outcome;
    });
    await waitUntil(`container ${id} has its address`, async () => {
      if (early !== undefined) throw new Error(`container ${id} ended: ${early.stderr}`);
      const inside = ['ctr', 'task', 'exec', '--exec-id', crypto.randomUUID(), id, 'ip', 'addr'];
      return address.test((await host.attempt(inside)).stdout);
    });
    return running;
  };
  return {
    run: (id, command) => host.attempt(argv(id, command)),
    start,
    kill: async (id) => {
      await host.exec(['ctr', 'task', 'kill', '--signal', 'SIGKILL', id]);
    },
  };
};

// Without the CRI plugin, which would want an image of its own and /etc/cni/net.d at its start.
const configuration = `version = 2
root = "/run/containerd-root"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "/run/containerd/containerd.sock"
`;
