import { expect, test } from 'vitest';
import type { EtcdEntry } from '../../shared/store/etcd/encoding.ts';
import { RegistryKeys } from './etcd-keys.ts';
import { NodesView } from './etcd-view.ts';

const keys = new RegistryKeys('/podwire/');

const entry = (key: string, value: string, modRevision = 1n): EtcdEntry => ({
  key,
  value,
  createRevision: 1n,
  modRevision,
  lease: '0',
});

const node = (name: string) => ({ name, addresses: ['198.51.100.1'], podCIDRs: ['10.244.1.0/24'] });
const registered = (name: string, modRevision = 1n) =>
  entry(keys.node(name), JSON.stringify(node(name)), modRevision);
const alive = (name: string) => entry(keys.alive(name), '{"instance":"x"}');
const viewOf = (...entries: EtcdEntry[]) => {
  const view = new NodesView(keys);
  view.replace(entries, false);
  return view;
};

test('a node is there while its registration is, alive or not', () => {
  const view = viewOf(registered('n1', 5n), alive('n1'), registered('n2', 6n));
  expect(view.nodes()).toEqual({ nodes: [node('n1'), node('n2')], refused: [] });
  expect(view.vanished()).toEqual([{ name: 'n2', modRevision: 6n }]);
});

test('only changes of registrations are changes of the nodes', () => {
  const view = viewOf(registered('n1'), alive('n1'));
  expect(view.apply([{ type: 'delete', entry: alive('n1') }])).toBe(false);
  expect(view.vanished()).toEqual([{ name: 'n1', modRevision: 1n }]);
  expect(view.apply([{ type: 'put', entry: alive('n1') }])).toBe(false);
  expect(view.vanished()).toEqual([]);
  expect(view.apply([{ type: 'delete', entry: registered('n1') }])).toBe(true);
  expect(view.nodes().nodes).toEqual([]);
  expect(view.apply([{ type: 'delete', entry: alive('n1') }])).toBe(false);
});

test('liveness that is told before the registration counts', () => {
  const view = viewOf(alive('n1'));
  expect(view.nodes().nodes).toEqual([]);
  expect(view.apply([{ type: 'put', entry: registered('n1') }])).toBe(true);
  expect(view.vanished()).toEqual([]);
});

test('a list replaces what was known; of another store, what is missing is kept as vanished', () => {
  const view = viewOf(registered('n1'), alive('n1'), registered('n2'), alive('n2'));
  view.replace([registered('n2', 9n), alive('n2'), alive('n1')], true);
  expect(
    view
      .nodes()
      .nodes.map(({ name }) => name)
      .toSorted(),
  ).toEqual(['n1', 'n2']);
  expect(view.vanished()).toEqual([]);
  view.replace([registered('n2', 9n), alive('n2')], true);
  expect(view.vanished()).toEqual([{ name: 'n1', modRevision: undefined }]);
  view.forget('n1');
  expect(view.nodes().nodes).toEqual([node('n2')]);
  view.replace([], false);
  expect(view.nodes().nodes).toEqual([]);
});

test('a registration that is wrong is told of, and is corrected by a later one', () => {
  const view = viewOf(entry(keys.node('n1'), '{"name":"n1"'), entry('/podwire/nodes/n1/other', 'x'));
  expect(view.nodes()).toEqual({ nodes: [], refused: [expect.stringContaining('/podwire/nodes/n1')] });
  view.apply([{ type: 'put', entry: registered('n1') }]);
  expect(view.nodes()).toEqual({ nodes: [node('n1')], refused: [] });
});

test.for(['', '/', 'with space', 'ü'])('the prefix %j is refused', (prefix) => {
  expect(() => new RegistryKeys(prefix)).toThrow(expect.objectContaining({ code: 7 }));
});

test.for(['', 'a/b', 'ü', 'x'.repeat(254)])('the name %j is refused', (name) => {
  expect(() => keys.node(name)).toThrow(expect.objectContaining({ code: 7 }));
});
