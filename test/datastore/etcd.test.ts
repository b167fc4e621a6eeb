import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { datastoreContract } from '../../shared/store/datastore/contract.ts';
import type { Datastore } from '../../shared/store/datastore/datastore.ts';
import { createEtcdDatastore } from '../../shared/store/datastore/etcd.ts';
import { EtcdServer, lackingEtcd } from '../support/etcd.ts';
import { skipFor } from '../support/needs.ts';
import { Relay } from '../support/relay.ts';
import { waitUntil } from '../support/wait-until.ts';

const lacking = lackingEtcd();

describe('in etcd', () => {
  let server: EtcdServer;
  let count = 0;

  beforeAll(async () => {
    if (lacking === undefined) server = await EtcdServer.start();
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  const open = (endpoints = server.endpoints): Datastore =>
    createEtcdDatastore({ ...server.options, endpoints, prefix: `/test${count}`, silenceMs: 2000 });

  if (lacking !== undefined) {
    test('the contract of datastores: etcd', (context) => skipFor(context, lacking));
    return;
  }

  datastoreContract('etcd', async () => {
    count++;
    return { store: open(), other: open() };
  });

  const datastoreTest = (name: string, body: () => Promise<void>): void =>
    test(name, async () => {
      count++;
      await body();
    });

  datastoreTest('etcd that is away is unavailable, and then there again', async () => {
    using relay = await Relay.to(server.endpoints[0] as string);
    const store = open([relay.url]);
    const made = await store.create('pools/a', { cidr: '10.0.0.0/16' });
    relay.cut();
    const unavailable = {
      problem: 'unavailable',
      code: 11,
      message: expect.stringContaining(String(relay.port)),
    };
    await expect(store.get('pools/a', { deadlineMs: 500 })).rejects.toMatchObject(unavailable);
    await expect(store.replace(made, { cidr: 'x' }, { deadlineMs: 500 })).rejects.toMatchObject(unavailable);
    relay.mend();
    relay.hold();
    await expect(store.list('pools/', { deadlineMs: 500 })).rejects.toMatchObject(unavailable);
    relay.mend();
    expect(await store.get('pools/a')).toEqual(made);
    store.close();
  });

  datastoreTest('a watch tells what changed while etcd was away', async () => {
    using relay = await Relay.to(server.endpoints[0] as string);
    const [store, direct] = [open([relay.url]), open()];
    const first = await direct.create('pools/a', { cidr: '10.0.0.0/16' });
    const seen = new Map<string, string>();
    let troubles = 0;
    const end = new AbortController();
    const watching = store.watch(
      'pools/',
      {
        records: (records) => {
          seen.clear();
          for (const { path, version } of records) seen.set(path, version);
        },
        changed: ({ path, version }) => seen.set(path, version),
        removed: (path) => seen.delete(path),
        trouble: () => troubles++,
      },
      end.signal,
    );
    await waitUntil('the first is told', () => seen.get('pools/a') === first.version);
    relay.cut();
    await waitUntil('there is trouble', () => troubles > 0);
    const second = await direct.create('pools/b', { cidr: '10.1.0.0/16' });
    await direct.remove(first);
    relay.mend();
    await waitUntil('the changes are told', () => seen.size === 1 && seen.get('pools/b') === second.version);
    end.abort();
    await watching;
    store.close();
    direct.close();
  });

  datastoreTest('a damaged record is told of, and nothing is made of it', async () => {
    const store = open();
    const made = await store.create('pools/a', { cidr: '10.0.0.0/16' });
    await server.ctl('put', `/test${count}/ipam/pools/b`, '{"cidr"');
    await expect(store.get('pools/b')).rejects.toMatchObject({ problem: 'unavailable', message: /damaged/ });
    await expect(store.list('pools/')).rejects.toMatchObject({ problem: 'unavailable', message: /damaged/ });
    await expect(store.create('pools/b', {})).rejects.toMatchObject({ problem: 'exists' });
    expect(await store.get('pools/a')).toEqual(made);
    store.close();
  });

  datastoreTest('a call that is given up ends', async () => {
    using relay = await Relay.to(server.endpoints[0] as string);
    const store = open([relay.url]);
    relay.hold();
    const end = new AbortController();
    const call = store.get('pools/a', { signal: end.signal, deadlineMs: 60_000 });
    end.abort();
    await expect(call).rejects.toMatchObject({ problem: 'unavailable' });
    store.close();
  });

  test('wrong options are refused when it is made', () => {
    const make = (options: object) => () => createEtcdDatastore({ ...server.options, ...options });
    const code7 = expect.objectContaining({ code: 7 });
    expect(make({ endpoints: [] })).toThrow(code7);
    expect(make({ endpoints: ['127.0.0.1:2379'] })).toThrow(code7);
    expect(make({ endpoints: ['https://a:secret@127.0.0.1:2379'] })).toThrow(code7);
    expect(make({ tls: { cert: '/x' } })).toThrow(code7);
    expect(make({ tls: { ca: '/nonexistent' } })).toThrow(code7);
    expect(make({ user: 'podwire' })).toThrow(code7);
  });
});
