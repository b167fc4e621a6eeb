import { copyFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EtcdClient } from '../../shared/store/etcd/client.ts';
import { isAbsent } from '../../shared/store/etcd/transaction.ts';
import type { EtcdEvent } from '../../shared/store/etcd/watch.ts';
import { EtcdServer, issue, lackingEtcd, makeAuthority } from '../support/etcd.ts';
import { skipFor } from '../support/needs.ts';
import { waitUntil } from '../support/wait-until.ts';

describe('a client of etcd', () => {
  let server: EtcdServer;
  let client: EtcdClient;

  beforeAll(async () => {
    if (lackingEtcd() !== undefined) return;
    server = await EtcdServer.start();
    client = new EtcdClient(server.options);
  });
  afterAll(async () => {
    client?.close();
    await server?.[Symbol.asyncDispose]();
  });

  test('writes, reads and deletes', async (context) => {
    skipFor(context, lackingEtcd());
    expect(await client.get('/basic/a')).toBeUndefined();
    await client.put('/basic/a', 'Größe');
    const entry = await client.get('/basic/a');
    expect(entry).toMatchObject({ key: '/basic/a', value: 'Größe', lease: '0' });
    expect(entry?.createRevision).toBe(entry?.modRevision);
    expect(await server.ctl('get', '/basic/a', '--print-value-only')).toBe('Größe\n');
    await client.delete('/basic/a');
    expect(await client.get('/basic/a')).toBeUndefined();
  });

  test('reads a range in pages, as of one revision', async (context) => {
    skipFor(context, lackingEtcd());
    const keys = Array.from({ length: 25 }, (_, index) => `/pages/${String(index).padStart(2, '0')}`);
    for (const key of keys) await client.put(key, key);
    await client.put('/pages0', 'behind the prefix');
    const { entries } = await client.range('/pages/', { pageSize: 4 });
    expect(entries.map(({ key }) => key)).toEqual(keys);
    expect((await client.range('/pages/', { pageSize: 5 })).entries).toEqual(entries);
    expect((await client.range('/none/')).entries).toEqual([]);
  });

  test('does a transaction only when what it compares holds', async (context) => {
    skipFor(context, lackingEtcd());
    const key = '/txn/a';
    const create = (value: string) =>
      client.transaction({
        compare: [isAbsent(key)],
        success: [{ do: 'put', key, value }],
        failure: [{ do: 'get', key }],
      });
    const made = await create('1');
    expect(made).toMatchObject({ succeeded: true, found: [] });
    const refused = await create('2');
    expect(refused).toMatchObject({ succeeded: false, found: [{ value: '1', modRevision: made.revision }] });
    const swap = (modRevision: bigint) =>
      client.transaction({ compare: [{ key, modRevision }], success: [{ do: 'put', key, value: '3' }] });
    expect((await swap(made.revision - 1n)).succeeded).toBe(false);
    expect((await swap(made.revision)).succeeded).toBe(true);
    expect((await swap(made.revision)).succeeded).toBe(false);
    expect((await client.get(key))?.value).toBe('3');
  });

  test('a key goes with its lease', async (context) => {
    skipFor(context, lackingEtcd());
    const lease = await client.grantLease(60);
    await client.put('/lease/a', 'x', { lease });
    expect((await client.get('/lease/a'))?.lease).toBe(lease);
    expect(await client.keepLease(lease)).toBe(true);
    await client.revokeLease(lease);
    expect(await client.get('/lease/a')).toBeUndefined();
    expect(await client.keepLease(lease)).toBe(false);
    await client.revokeLease(lease);
    await expect(client.put('/lease/a', 'x', { lease })).rejects.toMatchObject({ problem: 'lease-gone' });
  });

  test('watches from a revision on, large changes too', async (context) => {
    skipFor(context, lackingEtcd());
    const { revision } = await client.range('/watch/');
    await client.put('/watch/a', '1');
    const end = new AbortController();
    const seen: EtcdEvent[] = [];
    const watching = client.watch(
      '/watch/',
      revision + 1n,
      {
        events: (events) => seen.push(...events),
        trouble: (error) => {
          throw error;
        },
      },
      end.signal,
    );
    await waitUntil('the change before it is told', () => seen.length === 1);
    const large = 'x'.repeat(700_000);
    // One revision of 2.1 MB, which etcd sends in fragments.
    await server.ctl('del', '/watch/a');
    for (const key of ['b', 'c', 'd', 'e']) await client.put(`/watch/${key}`, large);
    await waitUntil('all changes are told', () => seen.length === 6);
    expect(seen.map(({ type, entry }) => [type, entry.key, entry.value.length])).toEqual([
      ['put', '/watch/a', 1],
      ['delete', '/watch/a', 0],
      ['put', '/watch/b', 700_000],
      ['put', '/watch/c', 700_000],
      ['put', '/watch/d', 700_000],
      ['put', '/watch/e', 700_000],
    ]);
    // A watch that catches up gets them at once, and so in fragments.
    const again: EtcdEvent[] = [];
    const late = client.watch(
      '/watch/',
      revision + 1n,
      { events: (events) => again.push(...events), trouble: () => {} },
      end.signal,
    );
    await waitUntil('all changes are told again', () => again.length === 6);
    expect(again).toEqual(seen);
    end.abort();
    expect(await Promise.all([watching, late])).toEqual(['aborted', 'aborted']);
  });

  test('a watch from a compacted revision asks to list again', async (context) => {
    skipFor(context, lackingEtcd());
    await client.put('/compact/a', '1');
    await client.put('/compact/a', '2');
    const { revision } = await client.range('/compact/');
    await server.ctl('compact', String(revision));
    const handlers = { events: () => {}, trouble: () => {} };
    expect(await client.watch('/compact/', revision - 1n, handlers, new AbortController().signal)).toBe(
      'list-again',
    );
  });

  test('a watch of a revision that the store has not reached asks to list again', async (context) => {
    skipFor(context, lackingEtcd());
    const { revision } = await client.range('/future/');
    const handlers = { events: () => {}, trouble: () => {} };
    const end = await client.watch('/future/', revision + 1000n, handlers, new AbortController().signal);
    expect(end).toBe('list-again');
  });

  test('a watch that is silent is opened anew, and misses nothing', async (context) => {
    skipFor(context, lackingEtcd());
    const impatient = new EtcdClient({ ...server.options, silenceMs: 200 });
    const { revision } = await impatient.range('/silent/');
    const end = new AbortController();
    const seen: string[] = [];
    let connected = 0;
    const watching = impatient.watch(
      '/silent/',
      revision + 1n,
      {
        events: (events) => seen.push(...events.map(({ entry }) => entry.value)),
        trouble: (error) => {
          throw error;
        },
        connected: () => connected++,
      },
      end.signal,
    );
    const values = Array.from({ length: 40 }, (_, index) => String(index));
    for (const value of values) {
      await client.put('/silent/a', value);
      if (Number(value) % 8 !== 0) continue;
      const begun = await server.callsOf('Watch');
      await waitUntil('the silent watch is opened anew', async () => (await server.callsOf('Watch')) > begun);
    }
    await waitUntil('the last is told', () => seen.length >= values.length);
    expect(seen).toEqual(values);
    expect(connected).toBe(1);
    end.abort();
    await watching;
    impatient.close();
  });

  describe('says what is wrong', () => {
    const failing = async (options: ConstructorParameters<typeof EtcdClient>[0]) => {
      const wrong = new EtcdClient(options);
      const [result] = await Promise.allSettled([wrong.get('/a')]);
      wrong.close();
      if (result?.status !== 'rejected') throw new Error('it was let in');
      return result.reason;
    };

    test('of another authority', async (context) => {
      skipFor(context, lackingEtcd());
      await makeAuthority(server.directory, 'other');
      const { tls } = server.options;
      const error = await failing({ ...server.options, tls: { ...tls, ca: server.file('other.crt') } });
      expect(error).toMatchObject({
        code: 7,
        message: expect.stringMatching(/certificate of etcd at .* not valid/),
      });
      expect(error.details).toContain('--etcd-cacert');
    });

    test('also when the environment says not to verify', async (context) => {
      skipFor(context, lackingEtcd());
      const { tls } = server.options;
      process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
      try {
        const error = await failing({ ...server.options, tls: { ...tls, ca: undefined } });
        expect(error).toMatchObject({ code: 7, problem: 'denied' });
      } finally {
        delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
      }
    });

    test('of a name that the certificate has not', async (context) => {
      skipFor(context, lackingEtcd());
      const endpoints = server.endpoints.map((endpoint) => endpoint.replace('127.0.0.1', 'localhost'));
      const error = await failing({ ...server.options, endpoints });
      expect(error).toMatchObject({ code: 7, details: expect.stringContaining('subject alternative name') });
    });

    test('without a client certificate, and with one of another authority', async (context) => {
      skipFor(context, lackingEtcd());
      const { ca } = server.options.tls;
      expect(await failing({ ...server.options, tls: { ca } })).toMatchObject({
        message: expect.stringMatching(/TLS handshake|closed the connection/),
        details: expect.stringContaining('client certificates'),
      });
      await makeAuthority(server.directory, 'foreign');
      await issue(server.directory, 'foreign', 'stranger', '/O=x', 'clientAuth');
      const stranger = { ca, cert: server.file('stranger.crt'), key: server.file('stranger.key') };
      expect(await failing({ ...server.options, tls: stranger })).toMatchObject({
        details: expect.stringContaining('client certificates'),
      });
    });

    test('of files', async (context) => {
      skipFor(context, lackingEtcd());
      const { tls } = server.options;
      expect(await failing({ ...server.options, tls: { ...tls, ca: '/nonexistent/ca' } })).toMatchObject({
        code: 7,
        message: expect.stringContaining('/nonexistent/ca'),
      });
      writeFileSync(server.file('garbage'), 'garbage');
      expect(
        await failing({ ...server.options, tls: { ...tls, key: server.file('garbage') } }),
      ).toMatchObject({
        code: 7,
        message: expect.stringContaining('is not one in PEM'),
      });
      expect(
        await failing({ ...server.options, tls: { ...tls, key: server.file('server.key') } }),
      ).toMatchObject({
        code: 7,
        message: expect.stringContaining('TLS files'),
      });
    });

    test('of an endpoint where nobody listens', async (context) => {
      skipFor(context, lackingEtcd());
      const error = await failing({ ...server.options, endpoints: ['https://127.0.0.1:9'] });
      expect(error).toMatchObject({
        code: 11,
        problem: 'unreachable',
        message: expect.stringContaining('127.0.0.1:9'),
      });
    });
  });

  test('certificates are read again when they change', async (context) => {
    skipFor(context, lackingEtcd());
    const ca = server.file('rotating.crt');
    copyFileSync(server.file('server.crt'), ca);
    const rotating = new EtcdClient({ ...server.options, tls: { ...server.options.tls, ca } });
    await expect(rotating.get('/a')).rejects.toMatchObject({ code: 7 });
    copyFileSync(server.file('ca.crt'), ca);
    await rotating.get('/a');
    rotating.close();
  });
});
