import { readFileSync } from '../../kernel/files.ts';
import { writeWhole } from '../whole-file.ts';

/**
 * Where a token is kept from one process to the next. Whatever fails here only costs a new token, and so does what is
 * read but no longer valid.
 */
export class TokenFile {
  readonly #path: string;

  /** One file for each user of each cluster. */
  constructor(
    directory: string,
    { user = '', endpoints }: { user?: string | undefined; endpoints: string[] },
  ) {
    const owner = JSON.stringify([user, endpoints.toSorted()]);
    this.#path = `${directory}/${Bun.hash(owner).toString(16)}`;
  }

  read(): string | undefined {
    try {
      const text = readFileSync(this.#path);
      // It becomes a header.
      return /^[\x21-\x7e]+$/.test(text) ? text : undefined;
    } catch {
      return undefined;
    }
  }

  write(token: string): void {
    try {
      writeWhole(this.#path, token);
    } catch {
      // The next process acquires its own.
    }
  }
}
