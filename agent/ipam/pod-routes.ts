import { bitsOf, contains, parseAddress } from '../../shared/kernel/address-math.ts';
import { type PodPrefix, readPodPrefix } from '../../shared/overlay/known-texts.ts';
import type { OverlayNode } from '../../shared/overlay/types.ts';
import type { StoredRecord } from '../../shared/store/datastore/datastore.ts';

/** What the datastore of cluster-ipam has, as far as routes go by it. */
export interface IpamView {
  blocks: Iterable<StoredRecord>;
  addresses: Iterable<StoredRecord>;
}

export interface PodRouteOptions {
  /** The network whose pods the overlay carries. */
  network: string;
  /**
   * Whether no pod gets the first address of a block, so that a block may name its node's VTEP; else a node needs a
   * prefix of the registry for that, of each family.
   */
  blocksNameVteps: boolean;
}

/**
 * The registry's nodes with what cluster-ipam gave to each: its blocks are further prefixes, and an address that a
 * pod took along from another node's block is one of its own. Nodes that did not change are the same objects as
 * before. What cannot be routed is in `refused`, a sentence each.
 */
export class PodRoutes {
  readonly #options: PodRouteOptions;
  #known: ReadonlyMap<string, Composed> = new Map();

  constructor(options: PodRouteOptions) {
    this.#options = options;
  }

  nodes(nodes: readonly OverlayNode[], view: IpamView): { nodes: OverlayNode[]; refused: string[] } {
    const refused: string[] = [];
    const blocks = byNode(view.blocks, this.#options.network, ({ cidr }) => readBlock(cidr));
    const singles = byNode(view.addresses, this.#options.network, readSingle);
    const known = new Map<string, Composed>();
    const composed = nodes.map((from) => {
      const own = this.#routable(from, blocks.get(from.name) ?? [], refused);
      const loose = (singles.get(from.name) ?? [])
        .filter(({ cidr }) => !own.some((block) => contains(block.cidr, cidr)))
        .map(({ text }) => text)
        .sort();
      const podCIDRs = [...from.podCIDRs, ...own.map(({ text }) => text)];
      const text = `${podCIDRs.join()} ${loose.join()}`;
      const before = this.#known.get(from.name);
      const node =
        before?.from === from && before.text === text
          ? before.node
          : { ...from, podCIDRs, ...(loose.length > 0 && { podAddresses: loose }) };
      known.set(from.name, { from, text, node });
      return node;
    });
    this.#known = known;
    return { nodes: composed, refused };
  }

  #routable({ name, podCIDRs }: OverlayNode, blocks: PodPrefix[], refused: string[]): PodPrefix[] {
    const sorted = blocks.sort((a, b) => (a.cidr.value < b.cidr.value ? -1 : 1));
    if (this.#options.blocksNameVteps) return sorted;
    return sorted.filter(({ cidr, text }) => {
      const isNamed = podCIDRs.some((prefix) => prefix.includes(':') === (cidr.family === 6));
      if (!isNamed) {
        refused.push(
          `block ${text} of node "${name}": its VTEP needs an address of IPv${cidr.family} that no pod gets; give the node a prefix in the registry, or set "prefix": "block" in "ipam"`,
        );
      }
      return isNamed;
    });
  }
}

interface Composed {
  from: OverlayNode;
  text: string;
  node: OverlayNode;
}

const byNode = (
  records: Iterable<StoredRecord>,
  network: string,
  read: (value: StoredRecord['value']) => PodPrefix | undefined,
): Map<string, PodPrefix[]> => {
  const found = new Map<string, PodPrefix[]>();
  for (const { value } of records) {
    if (value.network !== network || typeof value.node !== 'string') continue;
    const prefix = read(value);
    if (prefix === undefined) continue;
    const others = found.get(value.node);
    if (others === undefined) found.set(value.node, [prefix]);
    else others.push(prefix);
  }
  return found;
};

const readBlock = (text: unknown): PodPrefix | undefined => {
  const prefix = typeof text === 'string' ? readPodPrefix(text) : undefined;
  return typeof prefix === 'string' ? undefined : prefix;
};

/** One that a container has; of one that is only kept, or not yet settled, nobody answers. */
const readSingle = ({ address, containerId, isPending }: StoredRecord['value']): PodPrefix | undefined => {
  const parsed = typeof address === 'string' ? parseAddress(address) : undefined;
  if (parsed === undefined || typeof containerId !== 'string' || isPending === true) return undefined;
  return readBlock(`${address}/${bitsOf(parsed.family)}`);
};
