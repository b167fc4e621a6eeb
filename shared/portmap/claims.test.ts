import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { claimPorts, collectClaims, releasePorts } from './claims.ts';
import { describeBinding, type PortBinding } from './mapping.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'claims-'));
});
afterEach(() => rmSync(root, { recursive: true }));

const pod = (containerId: string, network = 'pods', ifname = 'eth0') => ({
  network,
  containerId,
  ifname,
  netns: `/run/netns/${containerId}`,
  inode: 1,
  links: [],
});

const port = (hostAddress?: string, family: 4 | 6 = 4, hostPort = 8080): PortBinding => ({
  family,
  protocol: 'tcp',
  hostPort,
  containerPort: 80,
  hostAddress,
});

/** Who is in the way, empty when the ports were claimed. */
const claim = async (who: ReturnType<typeof pod>, ...bindings: PortBinding[]): Promise<string[]> =>
  (await claimPorts(who, bindings, { root })).rivals.map(
    (rival) => `${describeBinding(rival.binding)}: ${rival.claim.network}/${rival.claim.containerId}`,
  );

describe('claimPorts', () => {
  test('a port is one container’s, in whatever network', async () => {
    expect(await claim(pod('a'), port())).toEqual([]);
    expect(await claim(pod('b', 'other'), port())).toEqual(['tcp port 8080 of any IPv4 address: pods/a']);
    expect(await claim(pod('b'), { ...port(), protocol: 'udp' }, port(undefined, 4, 8081))).toEqual([]);
  });

  test.each([
    [undefined, '192.0.2.1', true],
    ['192.0.2.1', undefined, true],
    ['192.0.2.1', '192.0.2.1', true],
    ['192.0.2.1', '192.0.2.2', false],
  ])('%s and %s are in each other’s way: %s', async (first, second, conflict) => {
    await claim(pod('a'), port(first));
    expect((await claim(pod('b'), port(second))).length > 0).toBe(conflict);
  });

  test('the families are apart', async () => {
    await claim(pod('a'), port(undefined, 4));
    expect(await claim(pod('b'), port(undefined, 6))).toEqual([]);
    expect(await claim(pod('c'), port('2001:db8::1', 6))).toEqual(['tcp port 8080 of 2001:db8::1: pods/b']);
  });

  test('all or nothing', async () => {
    await claim(pod('a'), port(undefined, 4, 2));
    expect(await claim(pod('b'), port(undefined, 4, 1), port(undefined, 4, 2))).toHaveLength(1);
    expect(await claim(pod('c'), port(undefined, 4, 1))).toEqual([]);
  });

  test('repeating a claim is fine, and replaces it', async () => {
    await claim(pod('a'), port('192.0.2.1'));
    expect(await claim(pod('a'), port('192.0.2.2'))).toEqual([]);
    expect(await claim(pod('b'), port('192.0.2.1'))).toEqual([]);
  });

  test('of many at once one has it', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, index) => claim(pod(`c${index}`), port(), port(undefined, 6))),
    );
    expect(outcomes.filter((rivals) => rivals.length === 0)).toHaveLength(1);
  });

  test('a file that nobody understands is nobody’s claim', async () => {
    await claim(pod('a'), port());
    for (const text of ['', '{}', '[{"network":"pods"}]', '[null]']) {
      writeFileSync(`${root}/ports/tcp-8080`, text);
      expect(await claim(pod('b'), port())).toEqual([]);
    }
  });
});

describe('two attachments of one container', () => {
  const second = pod('a', 'other');

  test('the first goes first; the second waits, and is named when the first goes', async () => {
    await claim(pod('a'), port());
    const { rivals, granted } = await claimPorts(second, [port(), port(undefined, 6)], { root });
    expect(rivals).toEqual([]);
    expect(granted).toEqual([port(undefined, 6)]);
    expect(await claim(pod('b'), port())).toHaveLength(1);
    expect(await releasePorts(pod('a'), [port()], root)).toMatchObject([
      { network: 'other', containerId: 'a' },
    ]);
    expect((await claimPorts(second, [port()], { root })).granted).toEqual([port()]);
  });

  test('one that only waits leaves nobody anything', async () => {
    await claim(pod('a'), port());
    await claim(second, port());
    expect(await releasePorts(second, [port()], root)).toEqual([]);
    expect(await claim(pod('b'), port())).toHaveLength(1);
  });
});

describe('release', () => {
  test('on the ports named, or wherever they are; of others nothing', async () => {
    await claim(pod('a'), port(), port(undefined, 4, 9));
    await claim(pod('b'), port(undefined, 4, 10));
    await releasePorts(pod('a'), [port()], root);
    expect(readdirSync(`${root}/ports`).toSorted()).toEqual(['tcp-10', 'tcp-9']);
    await releasePorts(pod('a'), undefined, root);
    expect(readdirSync(`${root}/ports`)).toEqual(['tcp-10']);
  });

  test('where nothing was ever claimed', async () => {
    expect(await releasePorts(pod('a'), undefined, root)).toEqual([]);
    expect(await releasePorts(pod('a'), [port()], root)).toEqual([]);
  });

  test.for([
    { how: 'the port is named', release: () => releasePorts(pod('a'), [port()], root) },
    { how: 'no port is named', release: () => releasePorts(pod('a'), undefined, root) },
    { how: 'others are kept', release: () => collectClaims('pods', [], root) },
  ])('what was being written by somebody who was killed goes, too, when $how', async ({ release }) => {
    await claim(pod('a'), port());
    writeFileSync(`${root}/ports/.tcp-8080`, '[');
    await releasePorts(pod('a'), [port(undefined, 4, 1)], root);
    expect(readdirSync(`${root}/ports`).toSorted()).toEqual(['.tcp-8080', 'tcp-8080']);
    await release();
    expect(readdirSync(`${root}/ports`)).toEqual([]);
  });

  test('of a network’s attachments that are not kept', async () => {
    await claim(pod('a'), port(undefined, 4, 1));
    await claim(pod('b'), port(undefined, 4, 2));
    await claim(pod('c', 'other'), port(undefined, 4, 3));
    await collectClaims('pods', [{ containerID: 'b', ifname: 'eth0' }], root);
    expect(readdirSync(`${root}/ports`).toSorted()).toEqual(['tcp-2', 'tcp-3']);
  });
});
