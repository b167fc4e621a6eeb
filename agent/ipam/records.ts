import { type CniError, toCniError } from '../../shared/cni/errors.ts';
import type { Datastore, StoredRecord } from '../../shared/store/datastore/datastore.ts';
import type { Backoff } from '../backoff.ts';
import { pause } from '../pause.ts';
import type { IpamView } from './pod-routes.ts';

export interface IpamRecordsOptions {
  connect: () => Promise<Datastore>;
  backoff: Backoff;
  /** A block or a fixed address is another, or its node is; also at first, when all are known. */
  onChange: () => void;
  onTrouble: (error: CniError) => void;
}

/** The blocks and fixed addresses of the datastore as they are now. What was told stays in force through failures. */
export class IpamRecords {
  readonly #options: IpamRecordsOptions;
  readonly #told = {
    'blocks/': undefined as Map<string, StoredRecord> | undefined,
    'addresses/': undefined as Map<string, StoredRecord> | undefined,
  };

  constructor(options: IpamRecordsOptions) {
    this.#options = options;
  }

  /** Undefined until all are known. */
  get view(): (IpamView & { blocks: Iterable<StoredRecord> }) | undefined {
    const { 'blocks/': blocks, 'addresses/': addresses } = this.#told;
    return blocks && addresses && { blocks: blocks.values(), addresses: addresses.values() };
  }

  /** Watches until `signal` is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { connect, backoff, onTrouble } = this.#options;
    while (!signal.aborted) {
      try {
        const datastore = await connect();
        try {
          await Promise.all([
            this.#watch(datastore, 'blocks/', signal),
            this.#watch(datastore, 'addresses/', signal),
          ]);
        } finally {
          datastore.close();
        }
      } catch (error) {
        onTrouble(toCniError(error));
      }
      await pause(backoff.next(), signal);
    }
  }

  async #watch(datastore: Datastore, prefix: 'blocks/' | 'addresses/', signal: AbortSignal): Promise<void> {
    const { backoff, onChange, onTrouble } = this.#options;
    const tell = (): void => {
      backoff.reset();
      if (this.view !== undefined) onChange();
    };
    const listener = {
      records: (records: StoredRecord[]) => {
        this.#told[prefix] = new Map(records.map((record) => [record.path, record]));
        tell();
      },
      changed: (record: StoredRecord) => {
        this.#told[prefix]?.set(record.path, record);
        tell();
      },
      removed: (path: string) => {
        this.#told[prefix]?.delete(path);
        tell();
      },
      trouble: onTrouble,
    };
    await datastore.watch(prefix, listener, signal);
  }
}
