import { createSwitch, type Switch } from '../support/links.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { type Attachment, attachPod, type CallOptions, type NetworkConfig } from './attachment.ts';

/** An entry of the vxlan plugin's "peers". */
export interface Peer {
  name: string;
  addresses: string[];
  podCIDRs: string[];
}

export interface NodesOptions {
  /** Families of the network between the nodes; IPv4 unless given. */
  underlay?: (4 | 6)[];
  /** Of the network between the nodes. */
  mtu?: number;
}

/** Hosts on one segment, `eth0` of each: the n-th, from 1, is `n<n>` at 198.51.100.<n> and 2001:db8:51::<n>. */
export class Nodes {
  readonly hosts: TestHost[] = [];
  readonly peers: Peer[] = [];
  readonly #segment: Switch;
  readonly #options: NodesOptions;
  #pods = 0;

  constructor(segment: Switch, options: NodesOptions) {
    this.#segment = segment;
    this.#options = options;
  }

  /** One more host, with pod prefixes of both families; `peers` has it, too. */
  async join(): Promise<TestHost> {
    const number = this.hosts.length + 1;
    const name = `n${number}`;
    const { underlay = [4], mtu } = this.#options;
    const networks = underlay.map((family) => underlayNetworks[family]);
    const host = await createHost({ name });
    this.hosts.push(host);
    const addresses = networks.map(({ prefix, length }) => `${prefix}${number}/${length}`);
    await this.#segment.plug(host, { addresses, ...(mtu !== undefined && { mtu }) });
    for (const { prefix, router } of networks)
      await host.exec(['ip', 'route', 'add', 'default', 'via', `${prefix}${router}`, 'dev', 'eth0']);
    this.peers.push({
      name,
      addresses: networks.map(({ prefix }) => `${prefix}${number}`),
      podCIDRs: [`10.244.${number}.0/24`, `fd00:244:${number}::/64`],
    });
    return host;
  }

  host(number: number): TestHost {
    const host = this.hosts[number - 1];
    if (host === undefined) throw new Error(`there is no node ${number}`);
    return host;
  }

  /** A configuration of the plugin that knows all nodes so far; `changes` replace keys. */
  config(changes: Record<string, unknown> = {}): NetworkConfig {
    return {
      cniVersion: '1.1.0',
      name: 'overlay',
      type: 'vxlan',
      peers: this.peers,
      ipam: { type: 'host-local' },
      ...changes,
    };
  }

  /** A pod on the n-th node. */
  async attach(number: number, config = this.config(), options: CallOptions = {}): Promise<NodePod> {
    this.#pods += 1;
    const attached = await attachPod(this.host(number), `pod${this.#pods}`, config, options);
    return { ...attached, node: number };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.hosts, this.#segment.host].map((host) => host.dispose()));
  }
}

export interface NodePod extends Awaited<ReturnType<typeof attachPod>> {
  attachment: Attachment;
  node: number;
}

/** That many nodes. */
export const createNodes = async (count: number, options: NodesOptions = {}): Promise<Nodes> => {
  const nodes = new Nodes(await createSwitch(), options);
  while (nodes.hosts.length < count) await nodes.join();
  return nodes;
};

const underlayNetworks = {
  4: { prefix: '198.51.100.', length: 24, router: '254' },
  6: { prefix: '2001:db8:51::', length: 64, router: 'fe' },
} as const;
