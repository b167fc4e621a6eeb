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
import { carryOut } from './planned-table.ts';

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
   * A table of iptables, with what was planned for it by `plan`: what two attachments share is planned
   * once.
   */
  iptables(family: IpFamily, variant: IptablesVariant, name: string): IptablesTable {
    const key = `${family} ${variant} ${name}`;
    const known = this.#tables.get(key);
    if (known !== undefined) return known;
    const table = readIptablesTable(family, variant, name);
    this.#tables.set(key, table);
    return table;
  }

  /** Notes commands that are going to be carried out on a table. */
  plan(family: IpFamily, variant: IptablesVariant, name: string, commands: readonly string[]): void {
    carryOut(commands, this.iptables(family, variant, name));
  }

  /** The variant for rules that are in none yet. */
  iptablesVariant(): IptablesVariant {
    this.#variant ??= chooseIptablesVariant(this.socket);
    return this.#variant;
  }
}
