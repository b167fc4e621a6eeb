import { existsSync, readFileSync } from 'node:fs';
import type { NodeState, OverlayNode, PeerState } from '../../../shared/overlay/types.ts';
import { podwireBin } from '../../support/binaries.ts';
import type { Pod } from '../../support/pod.ts';
import { expectSuccess, type Outcome, type Running, systemPath } from '../../support/process.ts';
import type { TestHost } from '../../support/test-host.ts';
import { waitUntil } from '../../support/wait-until.ts';

/** The directory of every node's CNI configuration, and the file that the agent writes there. */
export const confDir = '/etc/cni/net.d';
const conflist = `${confDir}/10-podwire.conflist`;
const HEALTH = '127.0.0.1:9090';

/** A pod that was added by the plugins. */
export interface LabPod {
  name: string;
  node: LabNode;
  pod: Pod;
  /** Without prefix lengths, in the result's order. */
  addresses: string[];
  mtu: number | undefined;
}

interface LabNodeOptions {
  number: number;
  addresses: string[];
  registryFile: string;
  agentArgs: string[];
}

/** A node of a lab. Everything is done by the built executable, as the node's runtime and init would. */
export class LabNode {
  readonly host: TestHost;
  readonly number: number;
  readonly pods: LabPod[] = [];
  /** How the node describes itself in the registry; a test may change it and register again. */
  readonly entry: OverlayNode;
  readonly #options: LabNodeOptions;
  #agent: Running | undefined;

  constructor(host: TestHost, options: LabNodeOptions) {
    this.host = host;
    this.number = options.number;
    this.#options = options;
    const { number } = options;
    this.entry = {
      name: `n${number}`,
      addresses: [...options.addresses],
      podCIDRs: [`10.244.${number}.0/24`, `fd00:244:${number}::/64`],
    };
  }

  get name(): string {
    return this.entry.name;
  }

  /** Starts the agent; `ready` waits for it. */
  startAgent(args: string[] = []): Running {
    this.#agent = this.host.start(this.#agentArgv(['--health-address', HEALTH, ...args]), {
      timeout: 3_600_000,
    });
    return this.#agent;
  }

  /** Waits until the agent says that it is ready and the conflist is there; else the error has what the agent said. */
  async ready(): Promise<void> {
    const agent = this.#agent;
    if (agent === undefined) throw new Error(`${this.name} has no agent`);
    let ended = false;
    void agent.outcome.then(() => {
      ended = true;
    });
    const isReady = async (): Promise<boolean> => {
      if (ended) throw new Error(`the agent of ${this.name} has ended`);
      return existsSync(this.host.path(conflist)) && (await this.health('/readyz'))?.status === 200;
    };
    try {
      await waitUntil(`the agent of ${this.name} is ready`, isReady);
    } catch (error) {
      const { stdout, stderr } = await this.stopAgent();
      throw new Error(`${(error as Error).message}\n${stderr}${stdout}`);
    }
  }

  /** Ends the agent by a signal and waits until it has ended. */
  async stopAgent(signal: NodeJS.Signals = 'SIGTERM'): Promise<Outcome> {
    const agent = this.#agent;
    if (agent === undefined) throw new Error(`${this.name} has no agent`);
    this.#agent = undefined;
    agent.kill(signal);
    return agent.outcome;
  }

  /** One sync, with the agent's own arguments. */
  async sync(args: string[] = []): Promise<string> {
    return expectSuccess(await this.attemptSync(args));
  }

  attemptSync(args: string[] = []): Promise<Outcome> {
    return this.host.attempt(this.#agentArgv(['--once', ...args]));
  }

  /** Removes all that the agent has made. */
  async cleanup(): Promise<string> {
    return this.host.exec(this.#agentArgv(['--cleanup']));
  }

  /** What the agent answers at a path of its health address; undefined when nobody answers. */
  async health(path: string): Promise<{ status: number; body: string } | undefined> {
    const request = `GET ${path} HTTP/1.0\\r\\nHost: podwire\\r\\n\\r\\n`;
    const script = `exec 3<>/dev/tcp/${HEALTH.replace(':', '/')}; printf '${request}' >&3; cat <&3`;
    const { stdout } = await this.host.attempt(['bash', '--norc', '-ec', script], { timeout: 3000 });
    const [, status, body] = /^HTTP\/1\.[01] (\d{3}) .*?\r\n\r\n(.*)$/s.exec(stdout) ?? [];
    return status === undefined ? undefined : { status: Number(status), body: body ?? '' };
  }

  /** Adds a pod to the network of the agent's conflist, or to one of another directory. */
  async addPod(name: string, directory = confDir): Promise<LabPod> {
    const pod = await this.host.addPod(name);
    const result = JSON.parse(await this.podwire(this.#run('add', name, directory)));
    const addresses = (result.ips as { address: string }[]).map(({ address }) => address.split('/')[0] ?? '');
    const mtu = (result.interfaces as { name: string; mtu?: number }[]).find(
      (each) => each.name === 'eth0',
    )?.mtu;
    const added = { name, node: this, pod, addresses, mtu };
    this.pods.push(added);
    return added;
  }

  /** Deletes a pod and its namespace. */
  async deletePod(name: string, directory = confDir): Promise<void> {
    await this.podwire(this.#run('del', name, directory));
    const index = this.pods.findIndex((pod) => pod.name === name);
    const [deleted] = this.pods.splice(index, 1);
    await deleted?.pod.remove();
  }

  /** Runs `podwire` in the node and returns its stdout. */
  podwire(args: string[]): Promise<string> {
    return this.host.exec([`${podwireBin}/podwire`, ...args], { env: { PATH: systemPath } });
  }

  state(vni = 1): NodeState {
    return this.#json(`/run/podwire/overlay/${vni}/node.json`) as NodeState;
  }

  peers(vni = 1): PeerState[] {
    return this.#json(`/run/podwire/overlay/${vni}/peers.json`) as PeerState[];
  }

  #json(path: string): unknown {
    return JSON.parse(readFileSync(this.host.path(path), 'utf8'));
  }

  #run(verb: string, name: string, directory: string): string[] {
    const [network] = this.#networks(directory);
    if (network === undefined) throw new Error(`${directory} of ${this.name} has no network`);
    const flags = ['--container-id', name, '--conf-dir', directory, '--bin-dir', podwireBin];
    return ['run', verb, network, `/run/netns/${name}`, ...flags, ...(verb === 'add' ? ['--json'] : [])];
  }

  #networks(directory: string): string[] {
    const file = directory === confDir ? conflist : `${directory}/10-test.conflist`;
    return [(this.#json(file) as { name: string }).name];
  }

  #agentArgv(args: string[]): string[] {
    const { registryFile, agentArgs } = this.#options;
    const registry = ['--registry', 'file', '--registry-file', registryFile, '--node', this.name];
    return [`${podwireBin}/podwire`, 'agent', ...registry, '--cni-conf-dir', confDir, ...agentArgs, ...args];
  }
}
