import { CniError } from '../cni/errors.ts';
import type { JsonObject } from '../cni/types.ts';
import { formatAddress, parseAddress } from '../kernel/address-math.ts';
import { type Datastore, DatastoreError } from '../store/datastore/datastore.ts';
import { createMemoryDatastore } from '../store/datastore/memory.ts';
import { tellReleases } from './give-back.ts';
import { stayAhead } from './look-ahead.ts';
import { type Maintained, maintain } from './maintain.ts';
import { type IpamNode, withRemote } from './node.ts';
import { obtain } from './obtain.ts';
import { releaseHere, releaseOthers } from './release.ts';
import type { AddressRequest } from './request.ts';

/** How a node's way to the datastore is at the moment. */
export interface Link {
  isCut: boolean;
  /** Of how many writes one is done, but its answer lost; 0: none. */
  losesAnswerEvery: number;
  /** How long a call takes at most, in ms. */
  delayMs: number;
}

/** A cluster in this process, for tests: nodes with real stores on disk, one datastore, a clock of its own. */
export class SimulatedCluster {
  readonly datastore: Datastore;
  readonly #directory: string;
  readonly #nodes = new Map<string, SimulatedNode>();
  now = Date.parse('2026-01-01T00:00:00Z');

  constructor(directory: string, datastore: Datastore = createMemoryDatastore()) {
    this.#directory = directory;
    this.datastore = datastore;
  }

  node(name: string): SimulatedNode {
    let node = this.#nodes.get(name);
    if (node === undefined) {
      node = new SimulatedNode(this, name, `${this.#directory}/${name}`);
      this.#nodes.set(name, node);
    }
    return node;
  }

  async putPool(name: string, value: JsonObject): Promise<void> {
    const existing = await this.datastore.get(`pools/${name}`);
    if (existing === undefined) await this.datastore.create(`pools/${name}`, value);
    else await this.datastore.replace(existing, value);
  }
}

export interface Wish {
  requested?: string;
  sticky?: string;
  holdSeconds?: number;
  families?: (4 | 6)[];
}

export class SimulatedNode {
  readonly link: Link = { isCut: false, losesAnswerEvery: 0, delayMs: 0 };
  readonly name: string;
  readonly #cluster: SimulatedCluster;
  readonly #dataDir: string;
  #boot = 1;
  #writes = 0;

  constructor(cluster: SimulatedCluster, name: string, dataDir: string) {
    this.#cluster = cluster;
    this.name = name;
    this.#dataDir = dataDir;
  }

  get ipam(): IpamNode {
    return {
      node: this.name,
      network: 'pods',
      dataDir: this.#dataDir,
      datastore: 'memory',
      connect: async () => this.#datastore(),
      pools: undefined,
      ownSubnet: false,
      graceMs: 3_600_000,
      now: () => this.#cluster.now,
      options: { bootId: `boot-${this.#boot}` },
    };
  }

  /** All containers of the node are gone, and nobody called DEL. */
  reboot(): void {
    this.#boot++;
  }

  request(container: string, { requested, sticky, holdSeconds = 600, families }: Wish = {}): AddressRequest {
    const address = requested === undefined ? undefined : parseAddress(requested);
    return {
      owner: { containerId: container, ifname: 'eth0' },
      netns: '/run/netns/no-such-netns',
      asker: { node: this.name, nodeLabels: {}, namespace: 'default', namespaceLabels: {}, named: undefined },
      families,
      requested: address === undefined ? [] : [address],
      sticky: sticky === undefined ? undefined : { key: sticky, holdSeconds },
      pod: '',
    };
  }

  /** ADD as the plugin does it; the addresses. */
  async add(container: string, wish: Wish = {}): Promise<string[]> {
    const request = this.request(container, wish);
    const { given, isLow } = await obtain(this.ipam, request);
    if (isLow) await stayAhead(this.ipam, request.asker);
    return given.map(({ address }) => formatAddress(address));
  }

  /** DEL as the plugin does it. */
  async del(container: string): Promise<void> {
    const { options } = this.ipam;
    const owner = { containerId: container, ifname: 'eth0' };
    if (await releaseHere(this.ipam, owner, undefined, options)) await this.#tell();
  }

  /** GC that knows of these containers, without what concerns the datastore. */
  async collect(valid: string[]): Promise<void> {
    const { options } = this.ipam;
    const attachments = valid.map((containerID) => ({ containerID, ifname: 'eth0' }));
    await releaseOthers(this.ipam, attachments, Number.POSITIVE_INFINITY, options);
  }

  maintain(nodes: readonly string[] = []): Promise<Maintained> {
    return maintain(this.ipam, new Set(nodes));
  }

  async #tell(): Promise<void> {
    try {
      await withRemote(this.ipam, (datastore) => tellReleases(this.ipam, datastore));
    } catch (error) {
      if (!(error instanceof CniError)) throw error;
    }
  }

  #datastore(): Datastore {
    const { datastore } = this.#cluster;
    const reached = async <T>(call: () => Promise<T>): Promise<T> => {
      if (this.link.isCut) throw new DatastoreError('unavailable', 'the link is cut');
      if (this.link.delayMs > 0) await Bun.sleep(Math.random() * this.link.delayMs);
      return call();
    };
    const answered = async <T>(call: () => Promise<T>): Promise<T> => {
      const result = await reached(call);
      const { losesAnswerEvery } = this.link;
      if (losesAnswerEvery === 0 || ++this.#writes % losesAnswerEvery !== 0) return result;
      throw new DatastoreError('unavailable', 'the answer was lost');
    };
    return {
      ...datastore,
      // The nodes share it.
      close: () => {},
      get: (path) => reached(() => datastore.get(path)),
      list: (prefix) => reached(() => datastore.list(prefix)),
      create: (path, value) => answered(() => datastore.create(path, value)),
      replace: (known, value) => answered(() => datastore.replace(known, value)),
      remove: (known) => answered(() => datastore.remove(known)),
    };
  }
}
