import type { JsonObject, Result } from './types.ts';

export type Command = 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS' | 'VERSION';

/**
 * The CNI_ARGS keys of the conventions (CONVENTIONS.md, "CNI_ARGS"). A network plugin and its IPAM plugin get the
 * same ones, so each lets the other's pass.
 */
export const conventionalArgs: readonly string[] = ['IP', 'GATEWAY', 'MAC'];

/** The validated environment of a call (SPEC.md, "Parameters"). Empty string: not given. */
export interface Environment {
  command: Command;
  containerId: string;
  netns: string;
  ifname: string;
  /** CNI_ARGS as key and value, in order of appearance. */
  args: Map<string, string>;
  /** CNI_PATH, split. */
  path: string[];
  /** CNI_NETNS_OVERRIDE: the runtime insists on its own netns as the container's. */
  netnsOverride: boolean;
}

/** The part of a network configuration that every plugin shares; the rest is in `json`. */
export interface NetworkConfig {
  cniVersion: string;
  name: string;
  type: string;
  /** The whole configuration as it was read, for the plugin's own keys and for delegates. */
  json: JsonObject;
  /** `prevResult` in the internal form; undefined when there was none. */
  prevResult: Result | undefined;
  /** `runtimeConfig`, empty when there was none. */
  runtimeConfig: JsonObject;
  /** `args.cni`, empty when there was none. */
  cniArgs: JsonObject;
}

/** One (containerID, ifname) of `cni.dev/valid-attachments`. */
export interface Attachment {
  containerID: string;
  ifname: string;
}

/** Everything a verb gets. */
export interface Call {
  env: Environment;
  config: NetworkConfig;
  /** stdin as read: a delegate gets exactly these bytes. */
  stdin: Uint8Array;
  /** When this process began, in ms since the epoch: GC spares what was made since. */
  startedAt?: number;
  /** A network plugin called us as its IPAM plugin, in this process. */
  isDelegated?: boolean;
  /** Finds a plugin of this executable by type name, for delegation without a second process. */
  findBuiltin: (type: string) => Plugin | undefined;
  /**
   * Throws CniError 106 when SIGTERM, SIGINT or SIGHUP arrived; an ADD calls it between its steps
   * so that an interrupted one is undone.
   */
  checkpoint: () => Promise<void>;
}

/** What a plugin is to the dispatcher. A verb throws CniError; whatever else it throws becomes 999. */
export interface Plugin {
  /** Name in the about text. */
  title: string;
  /** The lowest cniVersion accepted; the usual one is 0.1.0. */
  minVersion?: string;
  /** The CNI_ARGS keys it understands; without the list it does not look at CNI_ARGS. */
  knownArgs?: readonly string[];
  add(call: Call): Promise<Result> | Result;
  del(call: Call): Promise<void> | void;
  check(call: Call): Promise<void> | void;
  /** `valid` are the attachments to keep; everything else of this network goes. */
  gc(call: Call, valid: Attachment[]): Promise<void> | void;
  status(call: Call): Promise<void> | void;
}
