/** Who has which address, by what the nodes answered: the plain truth that the allocator is held against. */
export class Ledger {
  readonly #holders = new Map<string, string>();
  readonly #addresses = new Map<string, string>();

  /** An ADD answered. Throws when the address is another's, or the container has had another one. */
  given(node: string, container: string, address: string): void {
    const holder = `${node}/${container}`;
    const other = this.#holders.get(address);
    if (other !== undefined && other !== holder)
      throw new Error(`${address} is given to ${holder}, and ${other} has it`);
    const former = this.#addresses.get(holder);
    if (former !== undefined && former !== address)
      throw new Error(`${holder} has ${former}, and is given ${address}`);
    this.#holders.set(address, holder);
    this.#addresses.set(holder, address);
  }

  /** A DEL is about to be called: from now on another may get the address. */
  freed(node: string, container: string): void {
    const holder = `${node}/${container}`;
    const address = this.#addresses.get(holder);
    if (address === undefined) return;
    this.#addresses.delete(holder);
    this.#holders.delete(address);
  }

  get size(): number {
    return this.#holders.size;
  }

  /** `address container` of all that a node's containers have, sorted. */
  of(node: string): string[] {
    return this.all()
      .filter((held) => held.node === node)
      .map(({ address, container }) => `${address} ${container}`)
      .sort();
  }

  all(): { address: string; node: string; container: string }[] {
    return [...this.#holders].map(([address, holder]) => {
      const [node = '', container = ''] = holder.split('/');
      return { address, node, container };
    });
  }
}
