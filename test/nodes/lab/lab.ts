import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OverlayNode } from '../../../shared/overlay/types.ts';
import { createHost, type TestHost } from '../../support/test-host.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { LabNode } from './node.ts';
import {
  type LabShape,
  nodeLines,
  outside,
  outsideLines,
  switchLines,
  type UnderlayFamily,
  underlayAddresses,
} from './plan.ts';
import { type Prober, startProber } from './prober.ts';

export interface LabOptions {
  /** The L2 segment of each node, 0 or 1; three nodes in one segment unless given. */
  segments?: number[];
  underlay?: UnderlayFamily;
  /** Bytes; 1500 unless given. */
  mtu?: number;
  /** Arguments that every agent gets. */
  agentArgs?: string[];
}

/**
 * Several nodes on one machine. Each has its own network, files of the system and CNI configuration; one
 * more host is their switch and router, and one is outside, behind the router, without a route to pods.
 * The nodes are in one registry file, which all of them see.
 */
export class Lab {
  readonly nodes: LabNode[];
  /** Its devices n1, n2, … are the far ends of the nodes' uplinks. */
  readonly switch: TestHost;
  readonly outside: TestHost;
  readonly prober: Prober;
  /** Of the machine below; every node sees it by the same path. */
  readonly directory: string;

  constructor(parts: Pick<Lab, 'nodes' | 'switch' | 'outside' | 'prober' | 'directory'>) {
    this.nodes = parts.nodes;
    this.switch = parts.switch;
    this.outside = parts.outside;
    this.prober = parts.prober;
    this.directory = parts.directory;
  }

  /** The node with this number, from 1. */
  node(number: number): LabNode {
    const node = this.nodes[number - 1];
    if (node === undefined) throw new Error(`the lab has no node ${number}`);
    return node;
  }

  /** Writes the registry file whole: these nodes, or all as they describe themselves, or any other text. */
  register(content: OverlayNode[] | string = this.nodes.map(({ entry }) => entry)): void {
    const text = typeof content === 'string' ? content : JSON.stringify({ nodes: content });
    writeFileSync(`${registryFile(this.directory)}.new`, text);
    renameSync(`${registryFile(this.directory)}.new`, registryFile(this.directory));
  }

  /** Removes the registry file. */
  unregister(): void {
    rmSync(registryFile(this.directory));
  }

  async dispose(): Promise<void> {
    const parts = [this.prober, ...this.nodes.map(({ host }) => host), this.switch, this.outside];
    const outcomes = await Promise.allSettled(parts.map((part) => part.dispose()));
    rmSync(this.directory, { recursive: true, force: true });
    const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
    if (failures.length > 0) throw new AggregateError(failures, 'disposing the lab failed');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}

export const registryFile = (directory: string): string => join(directory, 'nodes.json');

/** Makes the hosts and their network; no agent runs yet. Undone when it fails. */
export const createLab = async (options: LabOptions = {}): Promise<Lab> => {
  const { segments = [0, 0, 0], underlay = 'dual', mtu = 1500, agentArgs = [] } = options;
  const shape: LabShape = { segments, underlay, mtu };
  const names = ['switch', 'outside', ...segments.map((_, index) => `n${index + 1}`)];
  const outcomes = await Promise.allSettled([startProber(), ...names.map((name) => createHost({ name }))]);
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  const started = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  const giveUp = async (error: unknown): Promise<never> => {
    await Promise.all(started.map((part) => part.dispose()));
    throw error;
  };
  if (failed !== undefined) return giveUp(failed.reason);
  const [prober, switchHost, outsideHost, ...hosts] = started as [Prober, TestHost, TestHost, ...TestHost[]];
  const directory = mkdtempSync(join(tmpdir(), 'podwire-lab-'));
  const nodes = hosts.map((host, index) => {
    const addresses = underlayAddresses(underlay, segments[index] ?? 0, index + 1);
    return new LabNode(host, {
      number: index + 1,
      addresses: addresses.map(({ address }) => address),
      registryFile: registryFile(directory),
      agentArgs,
    });
  });
  const lab = new Lab({ nodes, switch: switchHost, outside: outsideHost, prober, directory });
  await wire(lab, shape).catch(async (error: unknown) => {
    await lab.dispose();
    throw error;
  });
  lab.register();
  return lab;
};

const wire = async (lab: Lab, shape: LabShape): Promise<void> => {
  const pids = { nodes: lab.nodes.map(({ host }) => host.pid), outside: lab.outside.pid };
  await Promise.all([
    lab.switch.shell(`${withoutDad('default')}; ${forwarding}`),
    lab.outside.shell(withoutDad('default')),
    ...lab.nodes.map(({ host }) => host.shell(ownEtc)),
  ]);
  await batch(lab.switch, switchLines(shape, pids));
  await Promise.all([
    batch(lab.outside, outsideLines),
    ...lab.nodes.map(async ({ host, number }) => {
      await host.shell(withoutDad('eth0'));
      await batch(host, nodeLines(shape, number));
    }),
  ]);
  await Promise.all([
    usable(lab.outside, [outside.ipv6]),
    ...lab.nodes.map(({ host, entry }) => usable(host, entry.addresses)),
  ]);
};

/** Waits until the host itself takes these addresses for its own: for IPv6 ones the kernel sees to it later. */
const usable = (host: TestHost, addresses: string[]): Promise<unknown> =>
  waitUntil(`${addresses.join(' and ')} are usable`, async () =>
    (await host.shell(addresses.map((address) => `ip route get ${address} || true`).join(';')))
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith(' '))
      .every((line) => line.startsWith('local ')),
  );

const batch = (host: TestHost, lines: string[]): Promise<string> =>
  host.exec(['ip', '-batch', '-'], { stdin: `${lines.join('\n')}\n` });

/** Link-local addresses are usable at once: the first neighbour solicitation is not held up by seconds. */
const withoutDad = (device: string): string => `echo 0 >/proc/sys/net/ipv6/conf/${device}/accept_dad`;

const forwarding = 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding';

// Where the kernel refuses an overlay (in some user namespaces), only a directory that is there can be covered.
const ownEtc = `mkdir -p /run/.etc/up /run/.etc/work
mount -t overlay -o lowerdir=/etc,upperdir=/run/.etc/up,workdir=/run/.etc/work overlay /etc 2>/dev/null || [ -d /etc/cni ]
mkdir -p /etc/cni
mount -t tmpfs -o mode=755 tmpfs /etc/cni
mkdir -p /etc/cni/net.d`;
