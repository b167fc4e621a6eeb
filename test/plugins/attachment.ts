import { expect } from 'vitest';
import { podwireBin } from '../support/binaries.ts';
import {
  callPlugin,
  expectDone,
  expectResult,
  newContainerId,
  type PluginCall,
  type PluginOutcome,
  type PrintedResult,
} from '../support/call-plugin.ts';
import type { Pod } from '../support/pod.ts';
import type { TestHost } from '../support/test-host.ts';

/** A network configuration; `type` names the plugin. */
export interface NetworkConfig {
  cniVersion: string;
  name: string;
  type: string;
  [key: string]: unknown;
}

export type CallOptions = Partial<Omit<PluginCall, 'plugin' | 'command'>>;

/** Every version of the specification that a configuration may name. */
export const allVersions = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'];

/** One container's attachment to a network as a runtime handles it: CHECK and DEL get the result of ADD. */
export class Attachment {
  readonly host: TestHost;
  readonly config: NetworkConfig;
  readonly containerId: string;
  readonly ifname: string;
  readonly #options: CallOptions;
  result: PrintedResult | undefined;

  constructor(host: TestHost, netns: Pod | string, config: NetworkConfig, options: CallOptions = {}) {
    this.host = host;
    this.config = config;
    this.containerId = options.containerId ?? newContainerId();
    this.ifname = options.ifname ?? 'eth0';
    this.#options = { netns, ...options };
  }

  /** Calls a verb and returns how that ended; `options` differ from this attachment's own. */
  attempt(command: string, options: CallOptions = {}): Promise<PluginOutcome> {
    const prevResult = command === 'ADD' ? {} : { prevResult: this.result };
    return callPlugin(this.host, {
      binDir: podwireBin,
      plugin: this.config.type,
      config: { ...this.config, ...prevResult },
      ...this.#options,
      ...options,
      command,
      containerId: this.containerId,
      ifname: this.ifname,
    });
  }

  /** ADD; throws with the plugin's error when it fails. */
  async add(): Promise<PrintedResult> {
    this.result = expectResult(await this.attempt('ADD'));
    return this.result;
  }

  async check(): Promise<void> {
    expectDone(await this.attempt('CHECK'));
  }

  /** What CHECK complains about; fails the test when it does not, or with another code than 105. */
  async finding(): Promise<string> {
    const { error, exitCode } = await this.attempt('CHECK');
    expect(error, `CHECK ended with ${exitCode}`).toMatchObject({ code: 105 });
    return error?.msg ?? '';
  }

  /** DEL, which prints nothing; throws with the plugin's error when it fails. */
  async del(options: CallOptions = {}): Promise<void> {
    const outcome = await this.attempt('DEL', options);
    expectDone(outcome);
    expect(outcome.stdout).toBe('');
  }

  /** The container's addresses out of the result of ADD, without prefix length. */
  get addresses(): string[] {
    const { ips, ip4, ip6 } = this.result ?? {};
    const all = ips?.map(({ address }) => address) ?? [ip4?.ip, ip6?.ip].filter((ip) => ip !== undefined);
    return all.map((address) => address.slice(0, address.indexOf('/')));
  }

  /** The first address of a family. */
  address(family: 4 | 6 = 4): string {
    const address = this.addresses.find((text) => text.includes(':') === (family === 6));
    if (address === undefined) throw new Error(`the result has no IPv${family} address`);
    return address;
  }

  /** The host's end of the veth. */
  get port(): string {
    const port = this.result?.interfaces?.find(({ name, sandbox }) => /^veth/.test(name) && !sandbox);
    if (port === undefined) throw new Error('the result has no host interface');
    return port.name;
  }
}

/** Adds a pod to the host and attaches it. */
export const attachPod = async (
  host: TestHost,
  name: string,
  config: NetworkConfig,
  options: CallOptions = {},
): Promise<{ pod: Pod; attachment: Attachment }> => {
  const pod = await host.addPod(name);
  const attachment = new Attachment(host, pod, config, options);
  await attachment.add();
  return { pod, attachment };
};
