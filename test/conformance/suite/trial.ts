import type { TestContext } from 'vitest';
import {
  callPlugin,
  newContainerId,
  type PluginCall,
  type PluginOutcome,
} from '../../support/call-plugin.ts';
import type { TestHost } from '../../support/test-host.ts';
import type { SpecVersion } from './case.ts';
import { Container } from './container.ts';
import type { Profile } from './profiles.ts';
import type { Subject } from './subjects.ts';

export interface NetworkConfig {
  cniVersion?: string;
  name: string;
  type: string;
  [key: string]: unknown;
}

export type CallOptions = Partial<Omit<PluginCall, 'command'>>;

export interface ContainerOptions {
  /** CNI_CONTAINERID, a new one unless given. */
  id?: string;
  /** `eth0` unless given. */
  ifname?: string;
  /** The trial's own unless given; what the profile's `configOf` has and it has not is added to either. */
  config?: NetworkConfig;
  /** For a chained plugin: the interface that is there has an IPv6 address too. */
  ipv6?: boolean;
  /** The same container again, for another interface. */
  beside?: Container;
}

/** One case, tried with one plugin of one subject in one version, on a host of its own. */
export class Trial {
  readonly subject: Subject;
  readonly profile: Profile;
  readonly version: SpecVersion;
  readonly host: TestHost;
  readonly context: TestContext;
  #containers = 0;

  constructor(
    subject: Subject,
    profile: Profile,
    version: SpecVersion,
    host: TestHost,
    context: TestContext,
  ) {
    this.subject = subject;
    this.profile = profile;
    this.version = version;
    this.host = host;
    this.context = context;
  }

  /** The profile's configuration in this version; `changes` replace keys, undefined takes one away. */
  config(changes: Record<string, unknown> = {}): NetworkConfig {
    const all = { cniVersion: this.version, ...this.profile.config, ...changes };
    return Object.fromEntries(
      Object.entries(all).filter(([, value]) => value !== undefined),
    ) as NetworkConfig;
  }

  /** As `config`, with these keys changed inside "ipam". */
  ipamConfig(changes: Record<string, unknown>): NetworkConfig {
    return this.config({ ipam: { ...(this.profile.config.ipam as object), ...changes } });
  }

  /**
   * A container with a netns of its own to try the plugin on; for a chained plugin it has an interface and a
   * prevResult already.
   */
  async container(options: ContainerOptions = {}): Promise<Container> {
    this.#containers += 1;
    const index = this.#containers;
    const { beside, ifname = 'eth0' } = options;
    const id = options.id ?? beside?.id ?? newContainerId();
    const pod = beside?.pod ?? (await this.host.addPod(`pod${index}`));
    const config = { ...this.profile.configOf?.(index), ...(options.config ?? this.config()) };
    return Container.create({ trial: this, index, id, pod, ifname, config, ipv6: options.ipv6 ?? false });
  }

  /** Several containers, each with a netns of its own. */
  async containers(count: number, options: ContainerOptions = {}): Promise<Container[]> {
    const made: Container[] = [];
    while (made.length < count) made.push(await this.container(options));
    return made;
  }

  /** Calls the plugin as a runtime does; nothing is given but what `options` have. */
  call(command: string, options: CallOptions = {}): Promise<PluginOutcome> {
    const { binDir } = this.subject;
    return callPlugin(this.host, { binDir, plugin: this.profile.type, ...options, command });
  }

  /** Calls a verb of a whole network: GC (with the attachments to keep, unless undefined) or STATUS. */
  callNetwork(
    command: 'GC' | 'STATUS',
    config: NetworkConfig,
    valid?: readonly Container[],
  ): Promise<PluginOutcome> {
    const list = valid?.map(({ id, ifname }) => ({ containerID: id, ifname }));
    return this.call(command, {
      config: list === undefined ? config : { ...config, 'cni.dev/valid-attachments': list },
    });
  }
}
