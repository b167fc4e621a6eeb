import type { PrintedResult } from '../../support/call-plugin.ts';
import type { Pod } from '../../support/pod.ts';
import type { SoakNetwork } from './networks.ts';

/**
 * What is known of an attachment. `absent`: nothing of it may be there. `present`: all of it must be, as
 * far as its netns lives. `torn`: a call on it was killed or failed, so that parts may be there.
 */
export type State = 'absent' | 'present' | 'torn';

/** A container of the schedule; the runtime makes one call for it at a time. */
export class Container {
  readonly index: number;
  id: string;
  /** Undefined after its netns has vanished. */
  pod: Pod | undefined;
  /** The netns it has or had last, as a runtime remembers it. */
  netns: string;
  isBusy = false;
  readonly attachments: Attachment[];

  constructor(index: number, networks: readonly Network[]) {
    this.index = index;
    this.id = '';
    this.netns = '';
    this.attachments = networks.flatMap((network) =>
      network.spec.ifnames.map((ifname) => new Attachment(this, network, ifname)),
    );
  }

  get isEmpty(): boolean {
    return this.attachments.every(({ state }) => state === 'absent');
  }
}

/** One (container, network, interface) that a schedule may add and delete. */
export class Attachment {
  readonly container: Container;
  readonly network: Network;
  readonly ifname: string;
  state: State = 'absent';
  /** Of the last ADD that succeeded. */
  result: PrintedResult | undefined;
  /** The netns of that ADD. */
  netns = '';
  /** Counts the calls about it, so that a GC can tell whether one came in between, … */
  calls = 0;
  /** … and those of them that were an ADD or a DEL and succeeded, after which its state is certain. */
  changes = 0;
  isInFlight = false;

  constructor(container: Container, network: Network, ifname: string) {
    this.container = container;
    this.network = network;
    this.ifname = ifname;
  }

  /** Present, in a netns that is there. */
  get lives(): boolean {
    return this.state === 'present' && this.container.pod?.netns === this.netns;
  }

  /** Present, but the netns it was made in is gone. */
  get isOrphan(): boolean {
    return this.state === 'present' && !this.lives;
  }

  /** `network container ifname`, as it is printed and as the packet filter's comments have it. */
  get name(): string {
    return `${this.network.spec.name} ${this.container.id} ${this.ifname}`;
  }

  /** Without prefix lengths. */
  get addresses(): string[] {
    return (this.result?.ips ?? []).map(({ address }) => address.slice(0, address.indexOf('/')));
  }
}

/** A network with the calls that are under way in it. */
export class Network {
  readonly spec: SoakNetwork;
  /** ADD and DEL calls. */
  inFlight = 0;
  /** A GC that excludes ADD and DEL, as the specification wants it. */
  isCollecting = false;
  /** A GC beside ADDs and DELs. */
  isCollectingBeside = false;

  constructor(spec: SoakNetwork) {
    this.spec = spec;
  }
}

/** Everything that the schedule knows. */
export class Model {
  readonly networks: readonly Network[];
  readonly containers: readonly Container[];

  constructor(specs: readonly SoakNetwork[], containers: number) {
    this.networks = specs.map((spec) => new Network(spec));
    this.containers = Array.from({ length: containers }, (_, index) => new Container(index, this.networks));
  }

  get attachments(): Attachment[] {
    return this.containers.flatMap(({ attachments }) => attachments);
  }

  attachmentsOf(network: Network): Attachment[] {
    return this.attachments.filter((attachment) => attachment.network === network);
  }

  /** How many of a network's attachments have, or may have, addresses right now. */
  possibleHolders(network: Network): number {
    return this.attachmentsOf(network).filter(({ state, isInFlight }) => state !== 'absent' || isInFlight)
      .length;
  }
}
