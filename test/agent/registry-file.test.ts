import { appendFileSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Lab, registryFile } from '../nodes/lab/lab.ts';
import type { LabNode } from '../nodes/lab/node.ts';
import { waitUntil } from '../support/wait-until.ts';
import {
  conflistPlugin,
  logLines,
  metric,
  readiness,
  requireLab,
  twoNodes,
  vtepState,
  waitForReadiness,
} from './agent-lab.ts';

let lab: Lab;
let node: LabNode;
beforeEach(async (context) => {
  requireLab(context);
  lab = await twoNodes();
  node = lab.node(1);
});
afterEach(() => lab?.dispose());

const third = { name: 'n3', addresses: ['198.51.100.3'], podCIDRs: ['10.244.3.0/24', 'fd00:244:3::/64'] };
const peerNames = (): string[] => node.peers().map(({ name }) => name);
const waitForPeers = (...names: string[]): Promise<unknown> =>
  waitUntil(`the peers are ${names.join(', ')}`, () => peerNames().join() === names.join());
const isStale = ({ notes }: { notes: string[] }): boolean =>
  notes.some((note) => /^registry stale/.test(note));

test('nodes join, change and leave', async () => {
  const [first, second] = lab.nodes.map(({ entry }) => entry);
  node.startAgent();
  await node.ready();
  if (first === undefined || second === undefined) throw new Error('the lab has two nodes');
  lab.register([first, second, third]);
  await waitForPeers('n2', 'n3');
  expect(await vtepState(node)).toContain('10.244.3.0/24 via 10.244.3.0');
  lab.register([first, { ...second, podCIDRs: ['10.245.2.0/24'] }, third]);
  await waitUntil('the new range is there', async () => /10\.245\.2\.0\/24/.test(await vtepState(node)));
  expect(await vtepState(node)).not.toContain('10.244.2.0');
  expect(await node.host.shell('nft list set inet podwire_overlay1 excluded4')).toMatch(/10\.245\.2\.0/);
  lab.register([first, third]);
  await waitForPeers('n3');
  const state = await vtepState(node);
  expect(state).not.toMatch(/10\.24[45]\.2\.0|fd00:244:2/);
  expect(await node.host.shell('nft list set inet podwire_overlay1 excluded4')).not.toMatch(/10\.245/);
});

test("this node's own ranges change: the configuration and NAT follow", async () => {
  node.startAgent();
  await node.ready();
  lab.register([{ ...node.entry, podCIDRs: ['10.250.1.0/24', '10.250.2.0/24'] }, lab.node(2).entry]);
  await waitUntil('the configuration has the new ranges', () =>
    JSON.stringify(conflistPlugin(node).ipam.ranges).includes('10.250.1.0/24'),
  );
  expect(conflistPlugin(node).ipam.ranges).toEqual([
    [{ subnet: '10.250.1.0/24' }, { subnet: '10.250.2.0/24' }],
  ]);
  expect(await node.host.shell('nft list set inet podwire_overlay1 pods4')).toContain(
    '10.250.1.0-10.250.2.255',
  );
  expect(await node.host.exec(['ip', '-o', 'addr', 'show', 'pwvxlan1'])).toMatch(/inet 10\.250\.1\.0\/32/);
});

test('two nodes swap their ranges', async () => {
  const [first, second] = [node.entry, lab.node(2).entry];
  node.startAgent();
  await node.ready();
  lab.register([
    { ...first, podCIDRs: second.podCIDRs },
    { ...second, podCIDRs: first.podCIDRs },
  ]);
  await waitUntil('the ranges are swapped', () =>
    JSON.stringify(conflistPlugin(node).ipam.ranges).includes('10.244.2.0/24'),
  );
  expect(node.peers()).toMatchObject([{ name: 'n2', podCIDRs: first.podCIDRs }]);
  expect(await node.host.shell('nft list set inet podwire_overlay1 pods4')).toContain('10.244.2.0/24');
  expect(await vtepState(node)).toContain('10.244.1.0/24 via 10.244.1.0');
});

test.for<[string, string, RegExp]>([
  [
    'not JSON',
    '{\n  "nodes": [\n    { "name": "n1" }\n    {}',
    /nodes\.json:4:5 is not valid JSON: expected "," or "\]"/,
  ],
  ['half a file', '{ "nodes": [ { "name": "n1", "addr', /is not valid JSON: this string has no end/],
  ['something else', '{ "items": [] }', /has no list "nodes"/],
])('an edit is kept out: %s', async ([, text, message]) => {
  node.startAgent();
  await node.ready();
  const before = await vtepState(node);
  lab.register(text);
  const stale = await waitForReadiness(node, 'the registry is stale', isStale);
  expect(stale).toMatchObject({ code: 200, ready: true });
  expect(stale.notes.join()).toMatch(message);
  expect(await metric(node, 'podwire_agent_registry_up{registry="file"}')).toBe(0);
  expect(await vtepState(node)).toBe(before);
  lab.register();
  await waitForReadiness(node, 'the registry is fine', (answer) => !isStale(answer));
  expect(await vtepState(node)).toBe(before);
});

test.for<[string, () => string]>([
  ['an empty list', () => '{"nodes": []}'],
  ['a list without this node', () => JSON.stringify({ nodes: [lab.node(2).entry] })],
])('nothing is torn down by %s', async ([, text]) => {
  node.startAgent();
  await node.ready();
  const before = await vtepState(node);
  lab.register(text());
  const waiting = await waitForReadiness(node, 'it waits', ({ ready }) => !ready);
  expect(waiting.reasons[0]).toMatch(/^node "n1" is not in the registry, which has /);
  expect(await vtepState(node)).toBe(before);
  expect(peerNames()).toEqual(['n2']);
  rmSync(registryFile(lab.directory));
  await waitForReadiness(node, 'the file is gone', isStale);
  expect(await vtepState(node)).toBe(before);
  lab.register([node.entry]);
  await waitForPeers();
  expect(await readiness(node)).toMatchObject({ ready: true });
});

test('an entry that is wrong is left out alone, and told of', async () => {
  const agent = node.startAgent();
  await node.ready();
  const wrong = { name: 'n4', addresses: ['198.51.100.4'], podCIDRs: ['10.244.4.1/24'] };
  lab.register([node.entry, wrong as never, third]);
  await waitForPeers('n3');
  const { notes } = await readiness(node);
  expect(notes).toEqual([
    expect.stringContaining('"nodes[1].podCIDRs[0]" must be a network address such as 10.244.4.0/24'),
  ]);
  expect(await metric(node, 'podwire_agent_registry_refused')).toBe(1);
  await node.stopAgent();
  const warnings = logLines(await agent.outcome).filter(({ level }) => level === 'warn');
  expect(warnings).toEqual([expect.objectContaining({ msg: 'an entry is left out' })]);
});

test('the file may be written in place, by a link as in a ConfigMap, and in a directory of its own', async () => {
  const [first, second] = [node.entry, lab.node(2).entry];
  const text = (...nodes: object[]): string => JSON.stringify({ nodes });
  const file = `${lab.directory}/map/nodes.json`;
  const publish = (version: string, content: string): void => {
    mkdirSync(`${lab.directory}/map/..${version}`, { recursive: true });
    writeFileSync(`${lab.directory}/map/..${version}/nodes.json`, content);
    symlinkSync(`..${version}`, `${lab.directory}/map/..data_tmp`);
    renameSync(`${lab.directory}/map/..data_tmp`, `${lab.directory}/map/..data`);
  };
  node.startAgent(['--registry-file', file]);
  await waitForReadiness(node, 'no file yet', ({ reasons }) => reasons.some((why) => /ENOENT/.test(why)));
  publish('one', text(first, second));
  symlinkSync('..data/nodes.json', file);
  await node.ready();
  publish('two', text(first, second, third));
  await waitForPeers('n2', 'n3');
  rmSync(file);
  writeFileSync(file, text(first, third));
  await waitForPeers('n3');
  writeFileSync(file, '{"nodes": ');
  appendFileSync(file, `[${JSON.stringify(first)}, ${JSON.stringify(second)}]}`);
  await waitForPeers('n2');
});
