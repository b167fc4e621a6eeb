import { expect, test } from 'vitest';
import { requireNamespaces } from '../kernel/test-netns.ts';

test('a host’s life as a node', { timeout: 60_000 }, async (context) => {
  requireNamespaces(context);
  const nothing = { vtep: false, added: 0, replaced: 0, removed: 0 };
  expect(await liveAsNode()).toEqual({
    // Two VTEP addresses are not counted; of each of two peers two routes, two neighbours, one FDB entry.
    'the first sync': { changes: { ...nothing, vtep: true, added: 10 }, skipped: [], files: true },
    'nothing changed': { changes: nothing, sameFiles: true },
    'a peer moved, one came, one left': {
      changes: { ...nothing, added: 5, replaced: 1, removed: 5 },
      inForce: true,
      peers: [
        ['n2', '198.51.100.22'],
        ['n4', '198.51.100.4'],
      ],
    },
    // The next hop of an IPv4 prefix is an address of that prefix: of IPv4 the neighbours change, of IPv6 the routes.
    'two swapped their ranges': { changes: { ...nothing, replaced: 4 }, inForce: true },
    'a peer with our range came, and went': {
      skipped: [{ name: 'n5', reason: 'its pod prefix 10.244.1.0/24 overlaps 10.244.1.0/24 of this node' }],
      after: [],
      inForce: true,
    },
    'somebody took what a change needs': {
      errors: '',
      skipped: [{ name: 'n6', reason: foreign }],
      again: [{ name: 'n6', reason: foreign }],
      peers: 4,
      after: [],
    },
    'the VTEP was deleted before a change': { vtep: true, inForce: true },
    'four syncs at once': { made: 1, inForce: true },
    'a check': {
      before: [],
      after: ['its MTU is 1400 instead of 1450', 'it is down', 'it has no address fd00:244:1::/128'],
    },
    removal: { left: '', state: 'none', peers: [], link: 'Device "pwvxlan1" does not exist.\n' },
  });
});

const foreign = 'a route to 10.244.6.0/24 is there that is not ours (dev eth0 proto 3)';

/** Runs the fixture with a network and a /run of its own. */
const liveAsNode = async (): Promise<unknown> => {
  const prepare = [
    'mount -t tmpfs tmpfs /run',
    'ip link set lo up',
    'ip link add eth0 type veth peer name far',
    'ip address add 198.51.100.1/24 dev eth0',
    'ip link set far up',
    'ip link set eth0 up',
    'exec "$0" "$1"',
  ].join(' && ');
  const fixture = `${import.meta.dirname}/syncer.fixture.ts`;
  const command = ['unshare', '--net', '--mount', '--propagation', 'private', 'sh', '-c', prepare];
  const child = Bun.spawn([...command, process.execPath, fixture], { stdout: 'pipe', stderr: 'pipe' });
  const [text, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0) throw new Error(errors);
  return JSON.parse(text);
};
