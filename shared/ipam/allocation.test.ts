import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SimulatedCluster } from './simulation.ts';

let directory: string;
let cluster: SimulatedCluster;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'podwire-ipam-'));
  cluster = new SimulatedCluster(directory);
  await cluster.putPool('v4', { cidr: '10.0.0.0/26', blockSize: 28 });
});
afterEach(() => rmSync(directory, { recursive: true }));

const hour = 3_600_000;
const blocksOf = async (node: string) =>
  (await cluster.datastore.list('blocks/'))
    .filter(({ value }) => value.node === node)
    .map(({ value }) => value.cidr);
const addMany = async (node: string, count: number, prefix = 'c') => {
  const given: string[] = [];
  for (let index = 0; index < count; index++)
    given.push(...(await cluster.node(node).add(`${prefix}${index}`)));
  return given;
};

test('the same container gets the same address, and another one another', async () => {
  const node = cluster.node('n1');
  const [first] = await node.add('a');
  expect(await node.add('a')).toEqual([first]);
  expect(await node.add('b')).not.toEqual([first]);
});

test('ADD without a free address at hand claims one block; with one it asks nothing', async () => {
  const node = cluster.node('n1');
  await node.add('a');
  expect(await blocksOf('n1')).toHaveLength(1);
  node.link.isCut = true;
  for (const container of ['b', 'c', 'd']) expect(await node.add(container)).toHaveLength(1);
});

test('the next block is claimed before the last address is gone', async () => {
  const given = await addMany('n1', 14);
  expect(new Set(given).size).toBe(14);
  expect(await blocksOf('n1')).toHaveLength(2);
});

test('without the datastore addresses are given until the blocks are full, then error 11 says so', async () => {
  const node = cluster.node('n1');
  await node.add('first');
  node.link.isCut = true;
  const [block] = await blocksOf('n1');
  // The pool's own network, broadcast and gateway addresses are in its first and last block.
  const size = block === '10.0.0.0/28' ? 14 : block === '10.0.0.48/28' ? 15 : 16;
  await addMany('n1', size - 1);
  await expect(node.add('last')).rejects.toMatchObject({
    code: 11,
    message: expect.stringMatching(/blocks of this node are full.*datastore is away.*link is cut/),
  });
  await node.del('c0');
  expect(await node.add('last')).toHaveLength(1);
  node.link.isCut = false;
  cluster.now += 60_000;
  expect(await node.add('one more')).toHaveLength(1);
});

test('a pool has as many addresses as it has, for several nodes, and what is freed is given again', async () => {
  const given = new Set<string>();
  const holders: { node: string; container: string }[] = [];
  for (let index = 0; index < 61; index++) {
    const node = `n${index % 3}`;
    try {
      for (const address of await cluster.node(node).add(`c${index}`)) {
        expect(given).not.toContain(address);
        given.add(address);
      }
      holders.push({ node, container: `c${index}` });
    } catch (error) {
      expect(error).toMatchObject({ code: 102, message: expect.stringContaining('every block') });
    }
  }
  // Four blocks for three nodes: the one that got a second one ended with more.
  expect(given.size).toBeGreaterThanOrEqual(46);
  expect(given).not.toContain('10.0.0.0');
  expect(given).not.toContain('10.0.0.1');
  expect(given).not.toContain('10.0.0.63');
  for (const { node, container } of holders) await cluster.node(node).del(container);
  for (const node of ['n0', 'n1', 'n2']) await cluster.node(node).maintain();
  for (const node of ['n0', 'n1', 'n2']) expect((await blocksOf(node)).length).toBeLessThanOrEqual(1);
  expect(await addMany('n2', 30, 'again')).toHaveLength(30);
});

test('empty blocks but one are returned, and another node can have them', async () => {
  await addMany('n1', 40);
  expect((await blocksOf('n1')).length).toBeGreaterThanOrEqual(3);
  for (let index = 0; index < 40; index++) await cluster.node('n1').del(`c${index}`);
  const { returned } = await cluster.node('n1').maintain();
  expect(returned.length).toBeGreaterThanOrEqual(2);
  expect(await blocksOf('n1')).toHaveLength(1);
  expect(await addMany('n2', 40)).toHaveLength(40);
});

test('the blocks of a node that is gone are reclaimed after the grace time, not before', async () => {
  await addMany('n1', 3);
  const other = cluster.node('n2');
  await other.add('x');
  expect((await other.maintain(['n2'])).reclaimed).toMatchObject({ blocks: [], marked: 1 });
  cluster.now += hour / 2;
  expect((await other.maintain(['n2'])).reclaimed).toEqual({ blocks: [], addresses: [], marked: 0 });
  cluster.now += hour;
  expect((await other.maintain(['n2'])).reclaimed.blocks).toHaveLength(1);
  expect(await blocksOf('n1')).toEqual([]);
});

test('a node that comes back within the grace time keeps its blocks', async () => {
  await addMany('n1', 3);
  const other = cluster.node('n2');
  await other.maintain(['n2']);
  cluster.now += hour / 2 + 1;
  await cluster.node('n1').add('after');
  cluster.now += hour;
  expect((await other.maintain(['n2'])).reclaimed.blocks).toEqual([]);
});

test("a node that was thought dead and comes back gives nothing of blocks that are another's", async () => {
  const node = cluster.node('n1');
  const [old] = await node.add('old');
  node.link.isCut = true;
  await cluster.node('n2').maintain(['n2']);
  cluster.now += 1.5 * hour;
  await expect(node.add('new')).rejects.toMatchObject({
    code: 11,
    message: expect.stringContaining('not heard'),
  });
  await cluster.node('n2').maintain(['n2']);
  const theirs = await addMany('n2', 61 - 5);
  expect(theirs).toContain(old);
  node.link.isCut = false;
  await expect(node.add('old')).rejects.toMatchObject({
    code: 102,
    message: expect.stringContaining("another's"),
  });
  await cluster.putPool('more', { cidr: '10.1.0.0/26' });
  expect((await node.add('new'))[0]).toMatch(/^10\.1\.0\./);
});

test('a requested address outside of all blocks is given once, and not by who claims its block later', async () => {
  const [one, two] = [cluster.node('n1'), cluster.node('n2')];
  await one.add('a');
  const taken = new Set(await blocksOf('n1'));
  const wanted = ['10.0.0.20', '10.0.0.36', '10.0.0.52'].find(
    (address) => !taken.has(`10.0.0.${Math.floor(Number(address.slice(7)) / 16) * 16}/28`),
  ) as string;
  expect(await one.add('fixed', { requested: wanted })).toEqual([wanted]);
  expect(await one.add('fixed', { requested: wanted })).toEqual([wanted]);
  await expect(two.add('other', { requested: wanted })).rejects.toMatchObject({ code: 102 });
  const given = await addMany('n2', 16 + 14);
  expect(given).not.toContain(wanted);
  await one.del('fixed');
  expect(await cluster.datastore.list('addresses/')).toEqual([]);
});

test('a requested address in the block of another node is refused, and leaves nothing', async () => {
  const [address] = await cluster.node('n1').add('a');
  const other = `10.0.0.${Math.floor(Number(address?.slice(7)) / 16) * 16 + 7}`;
  await expect(cluster.node('n2').add('b', { requested: other })).rejects.toMatchObject({
    code: 102,
    message: expect.stringContaining('node n1'),
  });
  expect(await cluster.datastore.list('addresses/')).toEqual([]);
  await expect(cluster.node('n1').add('c', { requested: '10.0.0.1' })).rejects.toMatchObject({ code: 102 });
  await expect(cluster.node('n1').add('c', { requested: '10.9.0.1' })).rejects.toMatchObject({
    code: 102,
    message: expect.stringContaining('in no pool'),
  });
});

test('a sticky address comes back to its key, on this node and on another, until its time is over', async () => {
  const [one, two] = [cluster.node('n1'), cluster.node('n2')];
  const [address] = await one.add('a', { sticky: 'web-0' });
  await one.del('a');
  for (let index = 0; index < 15; index++) expect(await one.add(`x${index}`)).not.toEqual([address]);
  expect(await two.add('b', { sticky: 'web-0' })).toEqual([address]);
  expect(await two.add('b', { sticky: 'web-0' })).toEqual([address]);
  await two.del('b');
  cluster.now += 500_000;
  await two.maintain();
  expect(await one.add('c', { sticky: 'web-0' })).toEqual([address]);
  await one.del('c');
  cluster.now += 700_000;
  expect((await two.maintain()).expired).toBe(1);
  expect(await cluster.datastore.list('addresses/')).toEqual([]);
});

test('a sticky pod that is started elsewhere takes its address along; its old container cannot have it again', async () => {
  const [one, two] = [cluster.node('n1'), cluster.node('n2')];
  const [address] = await one.add('a', { sticky: 'web-0' });
  one.link.isCut = true;
  expect(await two.add('b', { sticky: 'web-0' })).toEqual([address]);
  one.link.isCut = false;
  await one.maintain();
  await one.del('a');
  await one.maintain();
  for (let index = 0; index < 20; index++) expect(await one.add(`x${index}`)).not.toEqual([address]);
  expect(await two.add('b', { sticky: 'web-0' })).toEqual([address]);
});

test('DEL of a fixed address while the datastore is away frees it here, and tells later', async () => {
  const node = cluster.node('n1');
  const [address] = await node.add('a', { sticky: 'web-0' });
  node.link.isCut = true;
  await node.del('a');
  expect((await cluster.datastore.list('addresses/'))[0]?.value).toMatchObject({ address, containerId: 'a' });
  node.link.isCut = false;
  expect((await node.maintain()).told).toBe(1);
  expect((await cluster.datastore.list('addresses/'))[0]?.value).not.toHaveProperty('containerId');
});

test('a disabled pool gives no more, and what it gave stays', async () => {
  const node = cluster.node('n1');
  const [address] = await node.add('a');
  await cluster.putPool('v4', { cidr: '10.0.0.0/26', blockSize: 28, disabled: true });
  await cluster.putPool('other', { cidr: '10.1.0.0/26', blockSize: 28 });
  await node.maintain();
  expect(await node.add('a')).toEqual([address]);
  const [next] = await node.add('b');
  expect(next).toMatch(/^10\.1\./);
  await node.del('a');
  expect((await node.maintain()).returned).toHaveLength(1);
});

test('a pool that grows gives more, one that shrinks gives nothing outside', async () => {
  await addMany('n1', 61);
  await expect(cluster.node('n1').add('no')).rejects.toMatchObject({ code: 102 });
  await cluster.putPool('v4', { cidr: '10.0.0.0/25', blockSize: 28 });
  cluster.now += 60_000;
  expect(await addMany('n1', 20, 'more')).toHaveLength(20);
  await cluster.putPool('v4', { cidr: '10.0.0.0/27', blockSize: 28 });
  await cluster.node('n1').maintain();
  await cluster.node('n1').del('c0');
  const [address] = await cluster
    .node('n1')
    .add('c0')
    .catch(() => []);
  if (address !== undefined) expect(Number(address.slice(7))).toBeLessThan(32);
});

test('leaks of an earlier boot are given again before a block is claimed for more', async () => {
  const node = cluster.node('n1');
  await addMany('n1', 61);
  node.reboot();
  expect(await addMany('n1', 30, 'new')).toHaveLength(30);
});

test('a claim whose answer was lost is found again', async () => {
  const node = cluster.node('n1');
  node.link.losesAnswerEvery = 1;
  await expect(node.add('a')).rejects.toMatchObject({ code: 11 });
  expect(await blocksOf('n1')).toHaveLength(1);
  node.link.losesAnswerEvery = 0;
  await node.add('a');
  expect(await blocksOf('n1')).toHaveLength(1);
});
