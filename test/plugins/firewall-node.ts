import { podwireBin } from '../support/binaries.ts';
import {
  callPlugin,
  newContainerId,
  type PluginOutcome,
  type PrintedResult,
} from '../support/call-plugin.ts';
import { addChain, type ChainCall, checkChain, delChain } from '../support/chain.ts';
import { connectOutside, type Outside } from '../support/links.ts';
import type { Place, Pod } from '../support/pod.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { ping } from '../support/traffic.ts';

/** Keys of the firewall plugin; null: the network has none. */
export type FirewallKeys = Record<string, unknown> | null;

export interface NetworkOptions {
  name: string;
  /** The third number of its IPv4 addresses, and of its IPv6 prefix. */
  number: number;
  bridge?: string;
  /** `isGateway`; true unless given. */
  isGateway?: boolean;
  firewall?: FirewallKeys;
}

/** A pod on a chain of bridge and firewall. */
export interface ChainedPod {
  pod: Pod;
  chain: ChainCall;
  result: PrintedResult;
  /** IPv4, then IPv6. */
  addresses: string[];
}

/** A node whose pods reach a namespace outside, and it them, as far as the packet filter lets them. */
export class FirewallNode {
  readonly host: TestHost;
  readonly outside: Outside;

  constructor(host: TestHost, outside: Outside) {
    this.host = host;
    this.outside = outside;
  }

  /** The network list of bridge and firewall. */
  conflist({
    name,
    number,
    bridge = 'cni0',
    isGateway = true,
    firewall = {},
  }: NetworkOptions): ChainCall['conflist'] {
    const ipam = {
      type: 'host-local',
      ranges: [[{ subnet: `10.60.${number}.0/24` }], [{ subnet: `fd60:${number}::/64` }]],
      routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
    };
    const plugins: { type: string; [key: string]: unknown }[] = [{ type: 'bridge', bridge, isGateway, ipam }];
    if (firewall !== null) plugins.push({ type: 'firewall', ...firewall });
    return { cniVersion: '1.0.0', name, plugins };
  }

  /** Adds a pod and attaches it by the plugins of `binDirs`. */
  async add(podName: string, network: NetworkOptions, binDirs = [podwireBin]): Promise<ChainedPod> {
    const pod = await this.host.addPod(podName);
    const chain: ChainCall = {
      conflist: this.conflist(network),
      binDirs,
      containerId: newContainerId(podName),
      netns: pod,
    };
    const result = await addChain(this.host, chain);
    const addresses = (result.ips ?? []).map(({ address }) => address.replace(/\/.*/, ''));
    return { pod, chain, result, addresses };
  }

  check({ chain, result }: ChainedPod, overrides: Partial<ChainCall> = {}): Promise<void> {
    return checkChain(this.host, { ...chain, ...overrides }, result);
  }

  del({ chain, result }: ChainedPod, overrides: Partial<ChainCall> = {}): Promise<void> {
    return delChain(this.host, { ...chain, ...overrides }, result);
  }

  /** One call of the firewall plugin for a pod; `keys` differ from its configuration. */
  call(
    { chain, result }: ChainedPod,
    command: string,
    keys: Record<string, unknown> = {},
    binDir = podwireBin,
  ): Promise<PluginOutcome> {
    const { conflist, containerId, netns } = chain;
    const config = {
      cniVersion: conflist.cniVersion,
      name: conflist.name,
      prevResult: result,
      ...conflist.plugins[1],
      ...keys,
    };
    return callPlugin(this.host, { binDir, plugin: 'firewall', command, containerId, netns, config });
  }

  /** Whether a place reaches all of the addresses, or none; throws when the families differ. */
  async reaches(from: Place, addresses: string[]): Promise<boolean> {
    const outcomes = await Promise.all(addresses.map((address) => ping(from, address)));
    if (new Set(outcomes).size !== 1)
      throw new Error(`${addresses.join(', ')}: reached ${outcomes.join(', ')}`);
    return outcomes[0] === true;
  }

  /** The filter tables of both families as iptables-save prints them, without counters and comments. */
  async filterRules(variant = ''): Promise<string[]> {
    const texts = await Promise.all(
      ['iptables', 'ip6tables'].map((tool) => this.host.exec([`${tool}${variant}-save`, '-t', 'filter'])),
    );
    return texts.flatMap((text) =>
      text
        .split('\n')
        .filter((line) => /^(:|-A)/.test(line))
        .map((line) => line.replace(/ \[\d+:\d+\]$/, '')),
    );
  }
}

export const createFirewallNode = async (): Promise<FirewallNode> => {
  const host = await createHost({ name: 'firewall' });
  const outside = await connectOutside(host, ['198.51.100.0/24', '2001:db8:51::/64'], { defaultRoute: true });
  // Where br_netfilter is there, frames between ports of a bridge pass the packet filter, too.
  await host.shell(
    'for key in /proc/sys/net/bridge/bridge-nf-call-ip*tables; do [ ! -e $key ] || echo 1 >$key; done',
  );
  return new FirewallNode(host, outside);
};
