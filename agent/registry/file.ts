import { type FSWatcher, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { type CniError, toCniError } from '../../shared/cni/errors.ts';
import { ioFailure } from '../../shared/store/io-failure.ts';
import { pause } from '../pause.ts';
import { parseNodeFile } from './node-file.ts';
import type { Registry, RegistryListener } from './registry.ts';

export interface FileRegistryOptions {
  /** An absolute path. */
  file: string;
  /** How often it is looked at when no event tells of a change, in ms. */
  pollMs?: number;
}

/**
 * The nodes of one JSON file. An edit is applied when it is valid; until then, what the file said before stays
 * in force. A file that is written in place, or replaced by rename, by a symbolic link (a ConfigMap's volume)
 * or by an editor, is all the same.
 */
export const createFileRegistry = ({ file, pollMs = 2000 }: FileRegistryOptions): Registry => ({
  kind: 'file',
  list: async () => parseNodeFile(await readText(file), file),
  watch: (listener, signal) => new FileWatch(file, pollMs, listener, signal).run(),
});

/** A file that does not make sense is read again after this time (ms): somebody may be in the middle of writing it. */
const SECOND_LOOK_MS = 200;

/** Milliseconds in which several events become one look. */
const SETTLE_MS = 20;

class FileWatch {
  readonly #file: string;
  readonly #pollMs: number;
  readonly #listener: RegistryListener;
  readonly #signal: AbortSignal;
  #event = Promise.withResolvers<void>();
  /** What the listener was told last. */
  #told: Told | undefined;

  constructor(file: string, pollMs: number, listener: RegistryListener, signal: AbortSignal) {
    this.#file = file;
    this.#pollMs = pollMs;
    this.#listener = listener;
    this.#signal = signal;
  }

  async run(): Promise<void> {
    let watcher: FSWatcher | undefined;
    while (!this.#signal.aborted) {
      watcher ??= this.#watchDirectory(() => {
        watcher = undefined;
      });
      this.#event = Promise.withResolvers<void>();
      await this.#look();
      await pause(this.#pollMs, this.#signal, this.#event.promise);
      await pause(SETTLE_MS, this.#signal);
    }
    watcher?.close();
  }

  /** The directory, because the file itself is replaced; what is missed there, polling finds. */
  #watchDirectory(onEnd: () => void): FSWatcher | undefined {
    try {
      const watcher = watch(dirname(this.#file), { persistent: false }, (_event, name) => {
        // A ConfigMap's volume is replaced by renaming its link `..data`.
        if (name === null || name === basename(this.#file) || name.startsWith('..')) this.#event.resolve();
      });
      watcher.on('error', () => {
        watcher.close();
        onEnd();
      });
      return watcher;
    } catch {
      // The directory may come later.
      return undefined;
    }
  }

  async #look(): Promise<void> {
    if ((await this.#tell()) === undefined) return;
    await pause(SECOND_LOOK_MS, this.#signal);
    const error = this.#signal.aborted ? undefined : await this.#tell();
    if (error === undefined || this.#hasTold({ trouble: error.message })) return;
    this.#told = { trouble: error.message };
    this.#listener.trouble(error);
  }

  /** Tells of the nodes, unless it has; returns why the file cannot be read. */
  async #tell(): Promise<CniError | undefined> {
    try {
      const text = await readText(this.#file);
      if (this.#hasTold({ text })) return undefined;
      const { nodes, refused } = parseNodeFile(text, this.#file);
      this.#told = { text };
      this.#listener.nodes(nodes, refused);
      return undefined;
    } catch (error) {
      return toCniError(error);
    }
  }

  #hasTold({ text, trouble }: Told): boolean {
    return this.#told?.text === text && this.#told?.trouble === trouble;
  }
}

/** The text of a valid file, or the message about another. */
interface Told {
  text?: string;
  trouble?: string;
}

const readText = async (file: string): Promise<string> => {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw ioFailure(`read --registry-file ${file}`, error);
  }
};
