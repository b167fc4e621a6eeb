import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createEtcdRegistry, type EtcdRegistryOptions } from '../../agent/registry/etcd.ts';
import { EtcdClient } from '../../shared/store/etcd/client.ts';
import { EtcdServer, lackingEtcd, makeTokenKeys } from '../support/etcd.ts';
import { skipFor } from '../support/needs.ts';
import { waitUntil } from '../support/wait-until.ts';
import { nodeOf, Watcher } from './etcd-watcher.ts';

const etcdTest = (name: string, body: () => Promise<void>): void =>
  test(name, { timeout: 120_000 }, async (context) => {
    skipFor(context, lackingEtcd());
    await body();
  });

describe('etcd with authentication', () => {
  const asUser = (server: EtcdServer, password: string, user = 'podwire') => {
    writeFileSync(server.file('password'), `${password}\n`);
    return { ...server.options, user, passwordFile: server.file('password') };
  };

  const failureOf = async (options: ConstructorParameters<typeof EtcdClient>[0], key = '/podwire/a') => {
    const client = new EtcdClient(options);
    const [result] = await Promise.allSettled([client.get(key)]);
    client.close();
    if (result?.status !== 'rejected') throw new Error('it was let in');
    return result.reason;
  };

  etcdTest('lets in who has the password, and says what is wrong to others', async () => {
    await using server = await EtcdServer.start();
    await server.enableAuthentication('podwire', 'right', '/podwire/');
    const client = new EtcdClient(asUser(server, 'right'));
    await client.put('/podwire/a', '1');
    expect((await client.get('/podwire/a'))?.value).toBe('1');
    client.close();
    expect(await failureOf(asUser(server, 'right'), '/other/a')).toMatchObject({
      code: 7,
      message: expect.stringContaining('permission denied'),
      details: expect.stringContaining('readwrite'),
    });
    const wrong = await failureOf(asUser(server, 'a-wrong-secret'));
    expect(wrong).toMatchObject({ code: 7, details: expect.stringContaining('--etcd-password-file') });
    expect(JSON.stringify([wrong, wrong.message, wrong.details])).not.toContain('a-wrong-secret');
    expect(await failureOf(server.options)).toMatchObject({
      code: 7,
      details: expect.stringContaining('--etcd-user'),
    });
    const missing = { ...server.options, user: 'podwire', passwordFile: server.file('nonexistent') };
    expect(await failureOf(missing)).toMatchObject({
      code: 7,
      message: expect.stringContaining('nonexistent'),
    });
  });

  etcdTest('a token is kept for processes to come, until it is no longer valid', async () => {
    await using server = await EtcdServer.start();
    await server.enableAuthentication('podwire', 'right', '/podwire/');
    const options = { ...asUser(server, 'right'), tokenDirectory: server.file('tokens') };
    const writeAs = async (value: string): Promise<void> => {
      const client = new EtcdClient(options);
      await client.put('/podwire/a', value);
      client.close();
    };
    await writeAs('1');
    const calls = await server.callsOf('Authenticate');
    await writeAs('2');
    expect(await server.callsOf('Authenticate')).toBe(calls);
    const [file = '', ...others] = readdirSync(server.file('tokens'));
    expect(others).toEqual([]);
    const path = join(server.file('tokens'), file);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    // A token of a server that has started anew since, and what a full disk leaves.
    for (const content of ['aaaaaaaaaaaaaaaa.7', '', 'no token\n\n']) {
      writeFileSync(path, content);
      await writeAs('3');
      expect(readFileSync(path, 'utf8')).not.toBe(content);
    }
    rmSync(server.file('tokens'), { recursive: true });
    writeFileSync(server.file('tokens'), 'where the directory cannot be made');
    await writeAs('4');
  });

  etcdTest('a client certificate with a common name is refused with what to do', async () => {
    await using server = await EtcdServer.start();
    await server.enableAuthentication('podwire', 'right', '/podwire/');
    // The server's own has one.
    const tls = {
      ca: server.file('ca.crt'),
      cert: server.file('server.crt'),
      key: server.file('server.key'),
    };
    expect(await failureOf({ ...asUser(server, 'right'), tls })).toMatchObject({
      code: 7,
      details: expect.stringContaining('without a common name'),
    });
  });

  etcdTest('a token that has expired is renewed, also for a watch', async () => {
    await using server = await EtcdServer.start({
      prepare: makeTokenKeys,
      flags: (file) => [
        `--auth-token=jwt,pub-key=${file('token.pub')},priv-key=${file('token.key')},sign-method=RS256,ttl=1s`,
      ],
    });
    await server.enableAuthentication('podwire', 'right', '/podwire/');
    const client = new EtcdClient({ ...asUser(server, 'right'), silenceMs: 300 });
    const { revision } = await client.range('/podwire/');
    const token = await tokenOf(server);
    const end = new AbortController();
    const seen: string[] = [];
    const troubles: Error[] = [];
    const watching = client.watch(
      '/podwire/',
      revision + 1n,
      {
        events: (events) => seen.push(...events.map(({ entry }) => entry.value)),
        trouble: (error) => troubles.push(error),
      },
      end.signal,
    );
    await waitUntil(
      'a token as old as the client is no longer valid',
      async () => !(await isValid(server, token)),
    );
    await client.put('/podwire/a', 'later');
    await waitUntil('the watch tells of it', () => seen.includes('later'));
    expect(troubles).toEqual([]);
    end.abort();
    await watching;
    client.close();
  });

  etcdTest('killed and started again: the watch and the registration go on, and nobody is gone', async () => {
    await using server = await EtcdServer.start();
    await server.enableAuthentication('podwire', 'right', '/podwire/');
    const { user, passwordFile } = asUser(server, 'right');
    await using nodes = new Nodes(server, { user, passwordFile, ttlSeconds: 5, graceSeconds: 1 });
    const [one, two] = [nodes.make(), nodes.make()];
    await one.registry.announce(nodeOf(1), one.signal);
    await two.registry.announce(nodeOf(2), two.signal);
    await using watcher = new Watcher(one.registry);
    await watcher.shows('n1', 'n2');
    await server.kill();
    await waitUntil('the watcher is in trouble', () => watcher.troubles.length > 0);
    const told = watcher.told.length;
    const away = performance.now();
    await waitUntil('the outage is longer than the lease', () => performance.now() - away > 6000);
    server.resume();
    await waitUntil('that it is heard again is told', () => watcher.told.length > told, 30_000);
    await two.registry.announce({ ...nodeOf(2), addresses: ['198.51.100.99'] }, two.signal).catch(() => {});
    const three = nodes.make();
    await waitUntil('a third is registered', () =>
      three.registry.announce(nodeOf(3), three.signal).then(
        () => true,
        () => false,
      ),
    );
    await watcher.shows('n1', 'n2', 'n3');
    expect(watcher.alwaysHad('n1') && watcher.alwaysHad('n2')).toBe(true);
    expect(watcher.troubles.every(({ code }) => code === 11)).toBe(true);
  });
});

describe('etcd that fails', () => {
  etcdTest('with its data lost: nobody is gone, and all register again', async () => {
    await using server = await EtcdServer.start();
    await using nodes = new Nodes(server, { graceSeconds: 3600 });
    const [one, two] = [nodes.make(), nodes.make()];
    await one.registry.announce(nodeOf(1), one.signal);
    await two.registry.announce(nodeOf(2), two.signal);
    await using watcher = new Watcher(one.registry);
    await watcher.shows('n1', 'n2');
    await server.wipe();
    server.resume();
    await server.ready();
    await waitUntil(
      'both are registered',
      async () =>
        (await server.ctl('get', '--prefix', '/podwire/nodes/', '--keys-only')).trim().split(/\n+/).length ===
        4,
      30_000,
    );
    const three = nodes.make();
    await three.registry.announce(nodeOf(3), three.signal);
    await watcher.shows('n1', 'n2', 'n3');
    expect(watcher.alwaysHad('n1') && watcher.alwaysHad('n2')).toBe(true);
  });

  etcdTest('who cannot keep its registration says so, and says when it can again', async () => {
    await using server = await EtcdServer.start();
    await using nodes = new Nodes(server);
    const one = nodes.make();
    await one.registry.announce(nodeOf(1), one.signal);
    await using watcher = new Watcher(one.registry);
    await watcher.shows('n1');
    await server.ctl('put', '/podwire/nodes/n1/alive', '{"instance":"of another node"}');
    await server.ctl('put', '/podwire/nodes/n1', JSON.stringify({ ...nodeOf(2), name: 'n1' }));
    await waitUntil('the node says so', () => watcher.troubles.length > 0);
    expect(watcher.troubles.map(({ message }) => message)).toEqual([expect.stringContaining('198.51.100.2')]);
    await server.ctl('del', '/podwire/nodes/n1/alive');
    await waitUntil('it has its name again', () => watcher.nodes[0]?.addresses[0] === '198.51.100.1');
  });

  etcdTest('one of three members killed, another one hung: the rest is enough', async () => {
    await using server = await EtcdServer.start({ members: 3 });
    await using nodes = new Nodes(server);
    const one = nodes.make();
    await one.registry.announce(nodeOf(1), one.signal);
    await using watcher = new Watcher(one.registry);
    await watcher.shows('n1');
    const clients = Array.from({ length: 6 }, () => new EtcdClient(server.options));
    const putAll = (value: string) =>
      Promise.all(clients.map((client) => client.put('/a', value, { deadlineMs: 15_000 })));
    await putAll('1');
    await server.kill(0);
    await putAll('2');
    server.resume(0);
    await server.ready();
    server.signal('SIGSTOP', 1);
    await putAll('3');
    for (const client of clients) expect((await client.get('/a', { deadlineMs: 15_000 }))?.value).toBe('3');
    const two = nodes.make();
    await waitUntil('another node is registered', () =>
      two.registry.announce(nodeOf(2), two.signal).then(
        () => true,
        () => false,
      ),
    );
    await watcher.shows('n1', 'n2');
    server.signal('SIGCONT', 1);
    for (const client of clients) client.close();
  });

  etcdTest('some endpoints dead from the start: those that live are used', async () => {
    await using server = await EtcdServer.start();
    const endpoints = ['https://127.0.0.1:9', ...server.endpoints, 'https://127.0.0.1:7'];
    // Which is tried first is left to chance.
    for (let round = 0; round < 10; round++) {
      const client = new EtcdClient({ ...server.options, endpoints });
      await client.put('/a', String(round));
      expect((await client.get('/a'))?.value).toBe(String(round));
      client.close();
    }
  });

  etcdTest(
    'without a quorum: a call ends with what is the matter, a watch goes on when there is one',
    async () => {
      await using server = await EtcdServer.start({ members: 3 });
      const client = new EtcdClient(server.options);
      await client.put('/a', '1');
      await server.kill(0);
      await server.kill(1);
      await expect(client.put('/a', '2', { deadlineMs: 2000 })).rejects.toMatchObject({ code: 11 });
      server.resume(0);
      await waitUntil('there is a quorum', () =>
        client.put('/a', '3').then(
          () => true,
          () => false,
        ),
      );
      expect((await client.get('/a'))?.value).toBe('3');
      client.close();
    },
  );
});

/** Nodes of one test: each another instance. */
class Nodes {
  readonly #server: EtcdServer;
  readonly #options: Partial<EtcdRegistryOptions>;
  readonly #made: (() => void)[] = [];

  constructor(server: EtcdServer, options: Partial<EtcdRegistryOptions> = {}) {
    this.#server = server;
    this.#options = options;
  }

  make() {
    const { ca: cacert, cert, key } = this.#server.options.tls;
    const registry = createEtcdRegistry({
      endpoints: this.#server.endpoints,
      ...{ cacert, cert, key, ttlSeconds: 3, instance: `instance ${this.#made.length}` },
      ...this.#options,
    });
    const end = new AbortController();
    this.#made.push(() => {
      end.abort();
      registry.close();
    });
    return { registry, signal: end.signal };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#made) end();
  }
}

const post = async (server: EtcdServer, path: string, body: object, token?: string): Promise<Response> => {
  const { ca, cert, key } = server.options.tls;
  const [authority, certificate, secret] = await Promise.all(
    [ca, cert, key].map((file) => Bun.file(file).text()),
  );
  return fetch(`${server.endpoints[0]}${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: token === undefined ? {} : { authorization: token },
    proxy: false,
    tls: { ca: authority, cert: certificate, key: secret } as Bun.TLSOptions,
  });
};

const tokenOf = async (server: EtcdServer): Promise<string> => {
  const answer = await post(server, '/v3/auth/authenticate', { name: 'podwire', password: 'right' });
  return ((await answer.json()) as { token: string }).token;
};

const isValid = async (server: EtcdServer, token: string): Promise<boolean> =>
  (await post(server, '/v3/kv/range', { key: btoa('/podwire/a') }, token)).status === 200;
