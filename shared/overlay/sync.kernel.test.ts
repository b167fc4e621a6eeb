import { beforeEach, describe, expect, test } from 'vitest';
import { requireNamespaces } from '../kernel/test-netns.ts';
import { createHosts, reaches, sync, type TestHost } from './test-hosts.ts';

let hosts: TestHost[];
beforeEach(async (context) => {
  requireNamespaces(context);
  const created = await createHosts(3);
  hosts = created;
  return () => created.close();
});

const syncAll = (settings = {}) =>
  hosts.map((host) =>
    sync(
      host,
      hosts.map(({ node }) => node),
      settings,
    ),
  );

/** Each pod and each host asks every pod of another host. */
const expectAllReached = () => {
  for (const from of hosts) {
    for (const to of hosts.filter((other) => other !== from)) {
      for (const address of to.podAddresses) {
        expect([from.node.name, address, reaches(from.pod, address)]).toEqual([
          from.node.name,
          address,
          true,
        ]);
        expect([from.node.name, 'host', address, reaches(from.host, address)]).toEqual([
          from.node.name,
          'host',
          address,
          true,
        ]);
      }
    }
  }
};

describe('a sync', () => {
  test.for(['vxlan', 'direct', 'cross-subnet'] as const)(
    'in mode %s lets all pods reach each other',
    (mode) => {
      const first = syncAll({ mode });
      expect(
        first.map(({ refused, messages }) => [
          ...refused,
          ...messages.filter((text) => !text.startsWith('net.')),
        ]),
      ).toEqual([[], [], []]);
      expectAllReached();
      expect(syncAll({ mode }).map(({ changes }) => changes)).toEqual(
        hosts.map(() => ({ vtep: false, added: 0, replaced: 0, removed: 0 })),
      );
    },
  );
});
