import { ownerOf } from '../attachment/owner.ts';
import type { Undo } from '../attachment/undo.ts';
import type { Call } from '../cni/plugin.ts';
import { emptyResult, type Interface, type IpConfig } from '../cni/types.ts';
import { detectBackend } from '../filter/backend.ts';
import type { FilterPart } from '../filter/filter-part.ts';
import { firewallPart, planFirewall } from '../firewall/firewall.ts';
import type { FirewallOptions } from '../firewall/options.ts';
import { forgetFirewall, saveFirewall } from '../firewall/record.ts';
import { removeFirewall } from '../firewall/remove.ts';
import type { IpBatch } from '../kernel/ip-batch.ts';
import { NftSocket, withNftSocket } from '../kernel/nft-socket.ts';
import { finishPortmap, portmapPart, preparePortmap } from '../portmap/add.ts';
import type { PortmapOptions } from '../portmap/options.ts';
import { portmapAddresses } from '../portmap/pod-addresses.ts';
import { type NewShaping, startNewShaping } from '../shaping/new-shaping.ts';
import { activeFeatures, type Feature, type FeatureKeys } from './feature-keys.ts';

/** What a network plugin knows of an attachment before it touches the kernel. */
export interface FeatureSite {
  /** The host end of the veth to come, and its MTU in bytes; undefined: the kernel's own. */
  hostInterface: string;
  mtu: number | undefined;
  ips: IpConfig[];
  /** The first interface of the result to come, and whether other pods have it, too. */
  device: string;
  deviceIsShared: boolean;
}

/**
 * The features of an ADD, carried out by the network plugin itself: what they want goes into its own `ip` and
 * `nft`, and a `tc` runs beside. The steps are to be called in this order; each registers its undo.
 */
export class AttachedFeatures {
  /** What is done for this pod; undefined when the configuration names no feature. */
  readonly names: Feature[] | undefined;
  readonly #call: Call;
  readonly #keys: FeatureKeys;
  readonly #undo: Undo;
  readonly #finishes: (() => void)[] = [];
  readonly #parts: FilterPart[] = [];
  #socket: NftSocket | undefined;
  #shaping: NewShaping | undefined;

  /** Starts the tools that can wait. Throws CniError 100 when one is missing. */
  constructor(call: Call, keys: FeatureKeys, undo: Undo) {
    this.#call = call;
    this.#keys = keys;
    this.#undo = undo;
    const active = activeFeatures(keys);
    this.names = Object.keys(keys).length === 0 ? undefined : active;
    if (active.includes('bandwidth') && keys.bandwidth !== undefined) {
      this.#shaping = startNewShaping(ownerOf(call), keys.bandwidth, undo);
    }
  }

  /** For the plugin's own packet filter transaction. */
  get filters(): { parts: readonly FilterPart[]; socket: NftSocket | undefined } {
    return { parts: this.#parts, socket: this.#socket };
  }

  /** Whether the firewall goes by a device that others have, too, so that its rules must not come before it. */
  get guardsDevice(): boolean {
    return this.#keys.firewall !== undefined && this.#keys.firewall.ingressPolicy !== 'open';
  }

  /** Claims and plans, and writes the features' records. Throws CniError 103 and what the features throw. */
  async prepare(site: FeatureSite): Promise<void> {
    const { portmap, firewall } = this.#keys;
    this.#shaping?.prepare({ device: site.hostInterface, mtu: site.mtu, netns: this.#call.env.netns });
    const active = this.names ?? [];
    if (active.includes('portmap') && portmap !== undefined) await this.#preparePortmap(portmap, site);
    if (firewall !== undefined) this.#prepareFirewall(firewall, site);
  }

  /** Adds what the host's netns needs besides the plugin's own lines. */
  addHostLines(batch: IpBatch): void {
    this.#shaping?.addHostLines(batch);
  }

  /** The host end is there: begins what goes by it, which runs beside what the plugin does next. */
  begin(): void {
    this.#shaping?.begin();
  }

  /** Everything else is in place: does what is left, and returns the interfaces that the features made. */
  finish(): Interface[] {
    for (const finish of this.#finishes) finish();
    const made = this.#shaping?.finish() ?? [];
    this.#close();
    return made;
  }

  async #preparePortmap(options: PortmapOptions, { hostInterface, ips }: FeatureSite): Promise<void> {
    const { env, checkpoint } = this.#call;
    const own = ips.map(({ interface: _, ...ip }) => ip);
    const addresses = portmapAddresses({ ...emptyResult(), ips: own }, env.ifname);
    if (addresses.length === 0) return;
    const socket = this.#open();
    const request = {
      owner: ownerOf(this.#call),
      options,
      addresses,
      netns: env.netns,
      links: [{ name: hostInterface, index: 0 }],
    };
    const backend = options.backend ?? detectBackend(socket);
    const record = await preparePortmap(request, backend, this.#undo, checkpoint);
    this.#parts.push(portmapPart(socket, record));
    this.#finishes.push(() => finishPortmap(socket, record));
  }

  #prepareFirewall(options: FirewallOptions, { ips, device, deviceIsShared }: FeatureSite): void {
    const owner = ownerOf(this.#call);
    const addresses = ips.map(({ address }) => address.slice(0, address.indexOf('/')));
    const pod = { owner, addresses, device, deviceIsShared };
    const socket = this.#open();
    const plan = planFirewall(socket, pod, options);
    this.#undo.add('take the firewall rules away', async () => {
      const removal = { pod, policy: options.ingressPolicy, zone: plan.zone?.name };
      await withNftSocket((other) => removeFirewall(other, removal));
      forgetFirewall(owner);
    });
    saveFirewall(pod, options, plan, this.#call.env.netns);
    this.#parts.push(firewallPart(socket, plan));
  }

  /** One for all, as closing the last may take as long as all the rest. */
  #open(): NftSocket {
    if (this.#socket !== undefined) return this.#socket;
    this.#socket = new NftSocket();
    this.#undo.add('close the nftables socket', () => this.#close());
    return this.#socket;
  }

  #close(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }
}
