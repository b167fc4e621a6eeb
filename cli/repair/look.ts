import { chooseIptablesVariant } from '../../shared/filter/iptables-variant.ts';
import { readAddresses } from '../../shared/kernel/address.ts';
import {
  type IpFamily,
  type IptablesTable,
  type IptablesVariant,
  readIptablesTable,
} from '../../shared/kernel/iptables.ts';
import { type LinkState, listLinks } from '../../shared/kernel/link.ts';
import type { NftSocket } from '../../shared/kernel/nft-socket.ts';
import { type RouteState, readRoutes } from '../../shared/kernel/route.ts';

/**
 * The host as it is at one moment: each thing is read once, when it is first asked for, however many
 * attachments are compared with it.
 */
export class Look {
  readonly socket: NftSocket;
  readonly #links: Map<string, LinkState>;
  readonly #addresses = new Map<number, string[]>();
  readonly #routes = new Map<IpFamily, Map<number, RouteState[]>>();
  readonly #tables = new Map<string, IptablesTable>();
  #variant: IptablesVariant | undefined;

  constructor(socket: NftSocket) {
    this.socket = socket;
    this.#links = new Map(listLinks().map((link) => [link.name, link]));
  }

  link(name: string): LinkState | undefined {
    return this.#links.get(name);
  }

  /** A link's addresses in CIDR notation. */
  addresses({ index }: LinkState): string[] {
    const known = this.#addresses.get(index);
    if (known !== undefined) return known;
    const addresses = readAddresses(index).map(({ address, prefixLength }) => `${address}/${prefixLength}`);
    this.#addresses.set(index, addresses);
    return addresses;
  }

  /** The destinations that are reached by a link. */
  destinations({ index }: LinkState, family: IpFamily): string[] {
    let byLink = this.#routes.get(family);
    if (byLink === undefined) {
      byLink = Map.groupBy(readRoutes(family), ({ linkIndex }) => linkIndex ?? 0);
      this.#routes.set(family, byLink);
    }
    return (byLink.get(index) ?? []).map(({ dst }) => dst);
  }

  /**
   * The nat table of a variant. Who plans changes enters them here, so that what two attachments share
   * is planned once.
   */
  natTable(family: IpFamily, variant: IptablesVariant): IptablesTable {
    const key = `${family} ${variant}`;
    const known = this.#tables.get(key);
    if (known !== undefined) return known;
    const table = readIptablesTable(family, variant, 'nat');
    this.#tables.set(key, table);
    return table;
  }

  /** The variant for rules that are in none yet. */
  iptablesVariant(): IptablesVariant {
    this.#variant ??= chooseIptablesVariant(this.socket);
    return this.#variant;
  }
}
