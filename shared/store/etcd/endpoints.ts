/**
 * The members of the cluster and how they did: the one that answered last goes first, those that failed go last for a
 * time that doubles with each failure, from 1 s to 30 s.
 */
export class Endpoints {
  readonly #members: Member[];
  readonly #now: () => number;
  #preferred: Member | undefined;

  constructor(urls: readonly string[], now: () => number = () => performance.now()) {
    this.#members = urls.map((url) => ({ url, failures: 0, badUntil: 0 }));
    this.#now = now;
  }

  /** All of them, the best first. Of failed ones the one whose time ends first is tried first. */
  inOrder(): string[] {
    const now = this.#now();
    const rank = (member: Member): number => {
      if (member.badUntil > now) return member.badUntil;
      return member === this.#preferred ? -1 : 0;
    };
    return this.#members.toSorted((a, b) => rank(a) - rank(b)).map(({ url }) => url);
  }

  succeeded(url: string): void {
    const member = this.#find(url);
    if (member === undefined) return;
    member.failures = 0;
    member.badUntil = 0;
    this.#preferred = member;
  }

  failed(url: string): void {
    const member = this.#find(url);
    if (member === undefined) return;
    member.badUntil = this.#now() + Math.min(30_000, 1000 * 2 ** member.failures);
    member.failures++;
    if (this.#preferred === member) this.#preferred = undefined;
  }

  get count(): number {
    return this.#members.length;
  }

  #find(url: string): Member | undefined {
    return this.#members.find((member) => member.url === url);
  }
}

interface Member {
  url: string;
  failures: number;
  badUntil: number;
}
