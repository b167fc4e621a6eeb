import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { JsonObject } from '../../shared/cni/types.ts';
import type { AttachmentParameters } from './attachment.ts';
import {
  type CacheEntry,
  cacheFileName,
  decodeCacheEntry,
  decodeLegacyResult,
  encodeCacheEntry,
} from './cache-entry.ts';

export interface CacheListing {
  entries: CacheEntry[];
  /** Files that may be of this network, but cannot be understood. */
  unknown: string[];
}

/**
 * The results of ADD, in libcni's place and format (`<directory>/results/<network>-<container>-<ifname>`),
 * so that libcni's runtimes and this one can read each other's. A file that cannot be read counts as absent, as there; other system errors
 * pass as they are.
 */
export class ResultCache {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Undefined when there is none, and for a file that libcni would not understand either. */
  read(network: string, attachment: AttachmentParameters): CacheEntry | undefined {
    const text = this.#readText(cacheFileName(network, attachment));
    return text === undefined ? undefined : decodeCacheEntry(text);
  }

  /** The result of the attachment, from a file of the current or of the legacy form. */
  readResult(network: string, attachment: AttachmentParameters): JsonObject | undefined {
    const text = this.#readText(cacheFileName(network, attachment));
    if (text === undefined) return undefined;
    return decodeCacheEntry(text)?.result ?? decodeLegacyResult(text);
  }

  /** All attachments of a network, in the order of their file names. */
  list(network: string): CacheListing {
    const listing: CacheListing = { entries: [], unknown: [] };
    for (const name of listFiles(this.#results).sort()) {
      const entry = decodeCacheEntry(this.#readText(name) ?? '');
      if (entry?.networkName === network) listing.entries.push(entry);
      if (entry === undefined && name.startsWith(`${network}-`)) listing.unknown.push(name);
    }
    return listing;
  }

  /** Written beside `results/` and moved in: a reader of that directory sees whole files only. */
  write(entry: CacheEntry): void {
    mkdirSync(this.#results, { recursive: true, mode: 0o700 });
    const temporary = join(this.#directory, `.podwire-result-${process.pid}`);
    try {
      const fd = openSync(temporary, 'w', 0o600);
      try {
        writeFileSync(fd, encodeCacheEntry(entry));
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      renameSync(temporary, join(this.#results, cacheFileName(entry.networkName, entry.attachment)));
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
  }

  remove(network: string, attachment: AttachmentParameters): void {
    rmSync(join(this.#results, cacheFileName(network, attachment)), { force: true });
  }

  get #results(): string {
    return join(this.#directory, 'results');
  }

  #readText(name: string): string | undefined {
    try {
      return readFileSync(join(this.#results, name), 'utf8');
    } catch {
      return undefined;
    }
  }
}

const listFiles = (directory: string): string[] => {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => entry.name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
};
