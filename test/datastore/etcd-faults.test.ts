import { expect, test } from 'vitest';
import { type Datastore, hasProblem } from '../../shared/store/datastore/datastore.ts';
import { createEtcdDatastore } from '../../shared/store/datastore/etcd.ts';
import { EtcdServer, lackingEtcd } from '../support/etcd.ts';
import { skipFor } from '../support/needs.ts';
import { Relay } from '../support/relay.ts';

test('claims of many clients while etcd is killed and connections are cut: each has one owner, who knows of it', {
  timeout: 180_000,
}, async (context) => {
  skipFor(context, lackingEtcd());
  await using server = await EtcdServer.start();
  using relay = await Relay.to(server.endpoints[0] as string);
  const clients = Array.from({ length: 12 }, (_, index) =>
    createEtcdDatastore({
      ...server.options,
      endpoints: index % 2 === 0 ? server.endpoints : [relay.url],
    }),
  );
  const paths = Array.from({ length: 300 }, (_, index) => `blocks/b${index}`);
  // At these counts of claims something fails.
  const faults = new Map<number, () => Promise<void> | void>([
    [40, () => killed(server)],
    [80, () => relay.cut()],
    [110, () => relay.mend()],
    [120, () => killed(server)],
    [160, () => relay.cut()],
    [180, () => relay.mend()],
    [240, () => killed(server)],
  ]);
  const running: (Promise<void> | void)[] = [];
  let claims = 0;
  let doubts = 0;
  const owned = await Promise.all(
    clients.map(async (store, index) => {
      const mine: string[] = [];
      for (const path of rotated(paths, index * 25)) {
        const { isMine, wasInDoubt } = await claim(store, path, `n${index}`);
        if (wasInDoubt) doubts++;
        if (!isMine) continue;
        mine.push(path);
        const fault = faults.get(++claims);
        if (fault !== undefined) running.push(fault());
      }
      return mine;
    }),
  );
  await Promise.all(running);
  const records = await (clients[0] as Datastore).list('blocks/', { deadlineMs: 30_000 });
  const owners = new Map(records.map(({ path, value }) => [path, value.node]));
  expect(claims).toBe(paths.length);
  expect([...owners.keys()].toSorted()).toEqual(paths.toSorted());
  for (const [index, mine] of owned.entries()) {
    for (const path of mine) expect(owners.get(path), path).toBe(`n${index}`);
  }
  // Else the test has not shown what it is for.
  expect(doubts).toBeGreaterThan(0);
  for (const store of clients) store.close();
});

/** As IPAM does: after a call that left open what was done, it reads before it tries again. */
const claim = async (
  store: Datastore,
  path: string,
  node: string,
): Promise<{ isMine: boolean; wasInDoubt: boolean }> => {
  let wasInDoubt = false;
  for (;;) {
    try {
      if (wasInDoubt) {
        const record = await store.get(path);
        if (record !== undefined) return { isMine: record.value.node === node, wasInDoubt };
      }
      await store.create(path, { node });
      return { isMine: true, wasInDoubt };
    } catch (error) {
      if (!hasProblem(error, 'exists', 'unavailable')) throw error;
      // Who was in doubt may meet the record that the first try made after all.
      if (hasProblem(error, 'exists') && !wasInDoubt) return { isMine: false, wasInDoubt };
      wasInDoubt = true;
    }
  }
};

const killed = async (server: EtcdServer): Promise<void> => {
  await server.kill();
  server.resume();
};

const rotated = <T>(list: T[], by: number): T[] => [...list.slice(by), ...list.slice(0, by)];
