import { expect, test } from 'vitest';
import { call, createPluginHost, expectSilent, networks } from '../protocol/calls.ts';
import { leftovers, nothing, snapshot } from '../support/snapshot.ts';

const count = 200;

test(`${count} ADDs at once: each its own address, one bridge; then ${count} DELs`, async () => {
  await using host = await createPluginHost('parallel');
  const names = Array.from({ length: count }, (_, index) => `pod${index}`);
  await host.shell(`for n in ${names.join(' ')}; do ip netns add $n; done`);
  const before = await snapshot(host);
  // Every third one is routed, on the same host and at the same time.
  const containers = names.map((name, index) => ({
    plugin: index % 3 === 2 ? 'veth' : 'bridge',
    containerId: name,
    netns: `/run/netns/${name}`,
    timeout: 120_000,
  }));
  const added = await Promise.all(containers.map((container) => call(host, container)));
  for (const outcome of added) expectSilent(outcome);
  const addresses = added.map(({ result }) => result?.ips?.[0]?.address ?? '');
  expect(new Set(addresses).size).toBe(count);
  const bridges = JSON.parse(await host.exec(['ip', '-j', 'link', 'show', 'type', 'bridge'])) as {
    ifname: string;
  }[];
  expect(bridges.map(({ ifname }) => ifname)).toEqual(['cni0']);
  const elements = JSON.parse(
    await host.exec(['nft', '-j', 'list', 'map', 'inet', 'podwire_masquerade', 'pods4']),
  );
  expect(JSON.stringify(elements).match(/"comment"/g)?.length).toBe(count);

  const checked = await Promise.all(
    containers.slice(0, 20).map((container, index) => {
      const plugin = container.plugin === 'veth' ? 'veth' : 'bridge';
      const config = { ...networks[plugin], prevResult: added[index]?.result };
      return call(host, { ...container, config, command: 'CHECK' });
    }),
  );
  for (const outcome of checked) expectSilent(outcome);

  const deleted = await Promise.all(
    containers.map((container) => call(host, { ...container, command: 'DEL' })),
  );
  for (const outcome of deleted) expectSilent(outcome);
  expect(leftovers(before, await snapshot(host), [/ cni0( |$)/])).toEqual(nothing);
}, 180_000);

test('ADD, DEL, GC, CHECK and STATUS at once do not disturb each other', async () => {
  await using host = await createPluginHost('mixed');
  const names = Array.from({ length: 12 }, (_, index) => `pod${index}`);
  for (const name of names) await host.addPod(name);
  const before = await snapshot(host);
  const valid = names.map((containerID) => ({ containerID, ifname: 'eth0' }));
  const config = { ...networks.bridge, 'cni.dev/valid-attachments': valid };
  let running = true;
  const others = ['GC', 'STATUS'].map(async (command) => {
    while (running) expectSilent(await call(host, { plugin: 'bridge', config, command }));
  });
  const lives = names.map(async (name) => {
    for (let round = 0; round < 4; round += 1) {
      const container = { plugin: 'bridge', containerId: name, netns: `/run/netns/${name}` };
      const added = await call(host, container);
      expectSilent(added);
      const later = { ...networks.bridge, prevResult: added.result };
      expectSilent(await call(host, { ...container, config: later, command: 'CHECK' }));
      expectSilent(await call(host, { ...container, config: later, command: 'DEL' }));
    }
  });
  const outcomes = await Promise.allSettled(lives);
  running = false;
  await Promise.all(others);
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  expect(leftovers(before, await snapshot(host), [/ cni0( |$)/])).toEqual(nothing);
});
