import { isDeepStrictEqual } from 'node:util';
import { describe, expect, test } from 'vitest';
import { waitUntil } from '../../../test/support/wait-until.ts';
import type { BlockValue, PoolValue } from '../../ipam/records.ts';
import type { Datastore, DatastoreProblem, StoredRecord } from './datastore.ts';
import { DatastoreError } from './datastore.ts';

/** A datastore for one test, empty, and a second client of the same data. */
export interface DatastoreUnderTest {
  store: Datastore;
  other: Datastore;
  /** Ends what was started for it. The stores are closed before. */
  dispose?: () => Promise<void> | void;
}

/**
 * What every datastore must do, as tests. `make` is called once for each test. The values written are those that
 * IPAM writes, so that a datastore with a schema takes them.
 */
export const datastoreContract = (name: string, make: () => Promise<DatastoreUnderTest>): void => {
  const using = async (body: (stores: DatastoreUnderTest) => Promise<void>): Promise<void> => {
    const stores = await make();
    try {
      await body(stores);
    } finally {
      stores.store.close();
      stores.other.close();
      await stores.dispose?.();
    }
  };

  describe(`the contract of datastores: ${name}`, { timeout: 60_000 }, () => {
    test('a record that was made is read by all', () =>
      using(async ({ store, other }) => {
        expect(await store.get(path(1))).toBeUndefined();
        const made = await store.create(path(1), block(1, 'n1'));
        expect(made).toMatchObject({ path: path(1), value: block(1, 'n1') });
        expect(await store.get(path(1))).toEqual(made);
        expect(await other.get(path(1))).toEqual(made);
      }));

    test('a path that has a record gets no second one', () =>
      using(async ({ store, other }) => {
        const made = await store.create(path(1), block(1, 'n1'));
        await expectProblem('exists', () => other.create(path(1), block(1, 'n2')));
        expect(await store.get(path(1))).toEqual(made);
      }));

    test('of many that create the same record at once, one succeeds', () =>
      using(async ({ store, other }) => {
        const results = await Promise.allSettled(
          Array.from({ length: 20 }, (_, index) =>
            (index % 2 === 0 ? store : other).create(path(1), block(1, `n${index}`)),
          ),
        );
        const made = results.filter((result) => result.status === 'fulfilled');
        expect(made).toHaveLength(1);
        expect(results.filter((result) => isProblem(result, 'exists'))).toHaveLength(19);
        expect(await store.get(path(1))).toEqual(made[0]?.value);
      }));

    test('a record is replaced by who knows its version', () =>
      using(async ({ store, other }) => {
        const made = await store.create(path(1), block(1, 'n1'));
        const replaced = await other.replace(made, block(1, 'n2'));
        expect(replaced.version).not.toBe(made.version);
        expect(await store.get(path(1))).toEqual(replaced);
        await expectProblem('conflict', () => store.replace(made, block(1, 'n3')));
        expect(await store.get(path(1))).toEqual(replaced);
      }));

    test('of many that replace the same version at once, one succeeds', () =>
      using(async ({ store, other }) => {
        const made = await store.create(path(1), block(1, 'n'));
        const results = await Promise.allSettled(
          Array.from({ length: 20 }, (_, index) =>
            (index % 2 === 0 ? store : other).replace(made, block(1, `n${index}`)),
          ),
        );
        const replaced = results.filter((result) => result.status === 'fulfilled');
        expect(replaced).toHaveLength(1);
        expect(results.filter((result) => isProblem(result, 'conflict'))).toHaveLength(19);
        expect(await store.get(path(1))).toEqual(replaced[0]?.value);
      }));

    test('nothing is lost when many read, replace, and try again', () =>
      using(async ({ store, other }) => {
        await store.create(path(1), block(1, ''));
        const append = async (client: Datastore, letter: string): Promise<void> => {
          for (;;) {
            const record = (await client.get(path(1))) as StoredRecord;
            try {
              await client.replace(record, { ...record.value, node: `${record.value.node}${letter}` });
              return;
            } catch (error) {
              if (!(error instanceof DatastoreError) || error.problem !== 'conflict') throw error;
            }
          }
        };
        const letters = [...'abcdefgh'];
        await Promise.all(letters.map((letter, index) => append(index % 2 === 0 ? store : other, letter)));
        expect([...String((await store.get(path(1)))?.value.node)].sort()).toEqual(letters);
      }));

    test('a record is removed by who knows its version', () =>
      using(async ({ store, other }) => {
        const made = await store.create(path(1), block(1, 'n1'));
        const replaced = await other.replace(made, block(1, 'n2'));
        await expectProblem('conflict', () => store.remove(made));
        expect(await store.get(path(1))).toEqual(replaced);
        await store.remove(replaced);
        expect(await other.get(path(1))).toBeUndefined();
        await expectProblem('not-found', () => other.remove(replaced));
        await expectProblem('not-found', () => other.replace(replaced, block(1, 'n3')));
      }));

    test('a record made anew has a version that the old one never had', () =>
      using(async ({ store }) => {
        const first = await store.create(path(1), block(1, 'n1'));
        await store.remove(first);
        const second = await store.create(path(1), block(1, 'n1'));
        expect(second.version).not.toBe(first.version);
        await expectProblem('conflict', () => store.replace(first, block(1, 'n2')));
        await expectProblem('conflict', () => store.remove(first));
        expect(await store.get(path(1))).toEqual(second);
      }));

    test('a list has the records of its prefix, in order', () =>
      using(async ({ store, other }) => {
        expect(await store.list('blocks/')).toEqual([]);
        const records = [];
        for (const index of [12, 3, 1]) records.push(await store.create(path(index), block(index, 'n1')));
        const [twelve, three, one] = records;
        await store.create('pools/default', pool);
        expect(await other.list('blocks/')).toEqual([one, twelve, three]);
        expect(await other.list('blocks/10-244-1')).toEqual([one, twelve]);
        expect(await other.list('blocks/10-244-9')).toEqual([]);
        expect((await other.list('pools/')).map(({ path, value }) => [path, value])).toEqual([
          ['pools/default', pool],
        ]);
      }));

    test('a list of a thousand records is complete', () =>
      using(async ({ store, other }) => {
        const indexes = Array.from({ length: 1000 }, (_, index) => index);
        for (let from = 0; from < indexes.length; from += 50) {
          await Promise.all(
            indexes.slice(from, from + 50).map((index) => store.create(path(index), block(index, 'n1'))),
          );
        }
        const listed = await other.list('blocks/', { deadlineMs: 20_000 });
        expect(listed.map((record) => record.path)).toEqual(indexes.map(path).sort());
      }));

    test('a watch tells what is there and what changes', () =>
      using(async ({ store, other }) => {
        const first = await store.create(path(1), block(1, 'n1'));
        const seen = new Map<string, StoredRecord>();
        const end = new AbortController();
        let snapshots = 0;
        const watching = other.watch(
          'blocks/',
          {
            records: (records) => {
              snapshots++;
              seen.clear();
              for (const record of records) seen.set(record.path, record);
            },
            changed: (record) => seen.set(record.path, record),
            removed: (gone) => seen.delete(gone),
            trouble: (error) => {
              throw error;
            },
          },
          end.signal,
        );
        const shows = (...records: StoredRecord[]) =>
          waitUntil(`the watch has told of ${records.length} records`, () => {
            const told = [...seen.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
            return snapshots > 0 && isDeepStrictEqual(told, records);
          });
        await shows(first);
        const second = await store.create(path(2), block(2, 'n2'));
        await shows(first, second);
        const replaced = await store.replace(first, block(1, 'n3'));
        await shows(replaced, second);
        await store.create('pools/default', pool);
        await store.remove(second);
        await shows(replaced);
        end.abort();
        await watching;
      }));

    test('a watch that is ended before it began ends', () =>
      using(async ({ store }) => {
        const nothing = () => {};
        const listener = { records: nothing, changed: nothing, removed: nothing, trouble: nothing };
        await store.watch('blocks/', listener, AbortSignal.abort());
      }));

    test('what is no path of a record is refused', () =>
      using(async ({ store }) => {
        for (const wrong of [
          'blocks',
          'blocks/',
          'blocks/../x',
          'blocks/A',
          'other/x',
          'blocks/-x',
          'blocks/a/b',
        ]) {
          await expect(async () => store.get(wrong), wrong).rejects.toThrow('no path');
        }
      }));
  });
};

const path = (index: number): string => `blocks/10-244-${index}-0-26`;

const block = (index: number, node: string): BlockValue => ({
  cidr: `10.${244 + (index >> 8)}.${index & 255}.0/26`,
  pool: 'default',
  node,
  network: 'pods',
  claimedAt: '2026-01-01T00:00:00.000Z',
});

const pool: PoolValue = { cidr: '10.244.0.0/16', blockSize: 26 };

const expectProblem = async (problem: DatastoreProblem, call: () => Promise<unknown>): Promise<void> => {
  const [result] = await Promise.allSettled([call()]);
  expect(result?.status === 'rejected' ? result.reason : result).toMatchObject({ problem, code: 11 });
};

const isProblem = (result: PromiseSettledResult<unknown>, problem: DatastoreProblem): boolean =>
  result.status === 'rejected' &&
  result.reason instanceof DatastoreError &&
  result.reason.problem === problem;
