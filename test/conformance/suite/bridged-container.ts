import {
  expectDone,
  expectResult,
  newContainerId,
  type PluginOutcome,
  type PrintedResult,
} from '../../support/call-plugin.ts';
import type { Pod } from '../../support/pod.ts';
import type { CallOptions, NetworkConfig, Trial } from './trial.ts';

/** A container that a chained plugin finds on a bridge, where `Container` has a routed link of its own. */
export class Bridged {
  readonly trial: Trial;
  readonly pod: Pod;
  readonly config: NetworkConfig;
  readonly earlier: PrintedResult;
  readonly #id = newContainerId();

  constructor(trial: Trial, pod: Pod, config: NetworkConfig, earlier: PrintedResult) {
    this.trial = trial;
    this.pod = pod;
    this.config = config;
    this.earlier = earlier;
  }

  attempt(command: 'ADD' | 'CHECK' | 'DEL', options: CallOptions = {}): Promise<PluginOutcome> {
    const config = { ...this.config, prevResult: this.earlier };
    return this.trial.call(command, { containerId: this.#id, netns: this.pod, config, ...options });
  }

  async add(): Promise<void> {
    expectResult(await this.attempt('ADD'));
  }

  async check(): Promise<void> {
    expectDone(await this.attempt('CHECK'));
  }

  async del(): Promise<void> {
    expectDone(await this.attempt('DEL'));
  }

  /** IPv4, then IPv6, without prefix length. */
  get addresses(): string[] {
    return (this.earlier.ips ?? []).map(({ address }) => address.replace(/\/.*/, ''));
  }
}

/**
 * Makes a bridge by `ip` alone, unless it is there, with the gateways of 10.40.<subnet>.0/24 and
 * fd40:<subnet>::/64, and a container on it. For versions since 1.0.0.
 */
export const bridgedContainer = async (
  trial: Trial,
  bridge: string,
  subnet: number,
  config: NetworkConfig,
): Promise<Bridged> => {
  const { host, version } = trial;
  made += 1;
  const number = made + 1;
  const port = `veth5eed${made.toString(16).padStart(4, '0')}`;
  const pod = await host.addPod(`bridged${made}`);
  await host.shell(`
    if ! ip link show ${bridge} >/dev/null 2>&1; then
      ip link add ${bridge} up type bridge
      ip addr add 10.40.${subnet}.1/24 dev ${bridge}
      ip addr add fd40:${subnet}::1/64 dev ${bridge} nodad
      echo 1 >/proc/sys/net/ipv4/ip_forward
      echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
    fi
    ip link add ${port} up master ${bridge} type veth peer name eth0 netns ${pod.netns}
  `);
  await pod.shell(`
    ip link set eth0 up
    ip addr add 10.40.${subnet}.${number}/24 dev eth0
    ip addr add fd40:${subnet}::${number.toString(16)}/64 dev eth0 nodad
    ip route add default via 10.40.${subnet}.1
    ip route add default via fd40:${subnet}::1
  `);
  const earlier: PrintedResult = {
    cniVersion: version,
    interfaces: [{ name: bridge }, { name: port }, { name: 'eth0', sandbox: pod.netns }],
    ips: [
      { address: `10.40.${subnet}.${number}/24`, gateway: `10.40.${subnet}.1`, interface: 2 },
      { address: `fd40:${subnet}::${number.toString(16)}/64`, gateway: `fd40:${subnet}::1`, interface: 2 },
    ],
    routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
  };
  return new Bridged(trial, pod, config, earlier);
};

let made = 0;
