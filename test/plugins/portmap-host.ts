import { podwireBin } from '../support/binaries.ts';
import {
  callPlugin,
  newContainerId,
  type PluginOutcome,
  type PrintedResult,
} from '../support/call-plugin.ts';
import { addChain, type ChainCall, checkChain, delChain } from '../support/chain.ts';
import { connectOutside, type Outside } from '../support/links.ts';
import type { Pod } from '../support/pod.ts';
import { createHost, type TestHost } from '../support/test-host.ts';

export interface PortMapping {
  hostPort: number;
  containerPort: number;
  protocol?: string;
  hostIP?: string;
}

export interface PublishOptions {
  /** Keys of the portmap plugin. */
  portmap?: Record<string, unknown>;
  network?: string;
  containerId?: string;
  cniVersion?: string;
  /** Directories of plugins, ours unless given. */
  binDirs?: string[];
  ifname?: string;
  /** The bridge `cni<N>` has 10.N.0.0/24 and fdN::/64; 85 unless given. */
  subnet?: number;
  /** An existing pod; else one is made. */
  pod?: Pod;
}

/** A pod that was attached to a bridge and then had its ports mapped. */
export interface Published {
  pod: Pod;
  chain: ChainCall;
  result: PrintedResult;
  /** IPv4, IPv6. */
  addresses: [string, string];
}

/** The addresses of the bridge, under which masqueraded clients appear. */
export const GATEWAYS = ['10.85.0.1', 'fd85::1'] as const;

const bridgeOf = (subnet: number) => ({
  type: 'bridge',
  bridge: `cni${subnet}`,
  isGateway: true,
  ipMasq: true,
  // Where bridged frames pass the packet filter (br_netfilter), a pod reaches itself by a hairpin.
  hairpinMode: true,
  ipam: {
    type: 'host-local',
    ranges: [[{ subnet: `10.${subnet}.0.0/24` }], [{ subnet: `fd${subnet}::/64` }]],
    routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
  },
});

/** A host with an outside client and a network of a bridge and portmap. */
export class PortmapHost {
  readonly host: TestHost;
  readonly outside: Outside;

  constructor(host: TestHost, outside: Outside) {
    this.host = host;
    this.outside = outside;
  }

  /** ADD of the chain; throws with the plugin's error. */
  async publish(name: string, portMappings: PortMapping[], options: PublishOptions = {}): Promise<Published> {
    const chain = await this.chain(name, portMappings, options);
    const result = await addChain(this.host, chain);
    const addresses = (result.ips ?? []).map(({ address }) => address.slice(0, address.indexOf('/')));
    return { pod: chain.netns as Pod, chain, result, addresses: addresses as [string, string] };
  }

  /** The same without calling anything, for other verbs and for failures. */
  async chain(name: string, portMappings: PortMapping[], options: PublishOptions = {}): Promise<ChainCall> {
    const { portmap = {}, network = 'ports', binDirs = [podwireBin], cniVersion = '1.0.0', ifname } = options;
    const plugins = [
      { ...bridgeOf(options.subnet ?? 85), ipMasqBackend: portmap.backend },
      { type: 'portmap', capabilities: { portMappings: true }, ...portmap },
    ];
    return {
      conflist: { cniVersion, name: network, plugins },
      binDirs,
      containerId: options.containerId ?? newContainerId(name),
      netns: options.pod ?? (await this.host.addPod(name)),
      runtimeConfig: { portMappings },
      ...(ifname === undefined ? {} : { ifname }),
    };
  }

  /** Calls portmap alone for a chain, whatever comes of it. */
  portmap(
    command: string,
    chain: ChainCall,
    prevResult?: PrintedResult,
    extra: object = {},
  ): Promise<PluginOutcome> {
    const { conflist, containerId, netns, ifname, runtimeConfig } = chain;
    const plugin = conflist.plugins.find(({ type }) => type === 'portmap');
    const config = {
      cniVersion: conflist.cniVersion,
      name: conflist.name,
      runtimeConfig,
      prevResult,
      ...plugin,
      ...extra,
    };
    return callPlugin(this.host, {
      binDir: chain.binDirs[0] ?? podwireBin,
      plugin: 'portmap',
      command,
      containerId,
      netns,
      ...(ifname === undefined ? {} : { ifname }),
      config,
    });
  }

  check({ chain, result }: Published): Promise<void> {
    return checkChain(this.host, chain, result);
  }

  del({ chain, result }: Published): Promise<void> {
    return delChain(this.host, chain, result);
  }

  dispose(): Promise<void> {
    return this.host.dispose();
  }
}

export const createPortmapHost = async (): Promise<PortmapHost> => {
  const host = await createHost({ name: 'portmap' });
  const outside = await connectOutside(host, ['198.51.100.0/24', '2001:db8:51::/64']);
  return new PortmapHost(host, outside);
};
