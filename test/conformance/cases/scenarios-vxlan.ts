import { expect } from 'vitest';
import { addressesOf, linkNames, linkOf, routesOf } from '../../plugins/kernel-state.ts';
import { leftovers, nothing, snapshot } from '../../support/snapshot.ts';
import { ping } from '../../support/traffic.ts';
import { overlayPeers } from '../../support/underlay.ts';
import { type Case, from, oldAndNew, only } from '../suite/case.ts';
import { expectError, expectSilence } from '../suite/expectations.ts';
import { usedHost } from '../suite/leftovers.ts';

const applies = only('vxlan');
const dualStack = overlayPeers('10.30.0.0/16', 'fd30::/64');

/** ADD, CHECK and DEL of a dual-stack pod with addresses of the node's own prefixes. */
const lifecycle = (attach: 'veth' | 'bridge'): Case => ({
  id: `vxlan-by-${attach}`,
  covers: ['A1', 'C4', 'D1'],
  title: `ADD, CHECK and DEL by a ${attach} with addresses of the node's own prefixes`,
  applies,
  versions: oldAndNew('0.2.0'),
  run: async (trial) => {
    const config = trial.config({ attach, peers: dualStack, ipam: { type: 'host-local' } });
    const containers = [await trial.container({ config }), await trial.container({ config })];
    const before = await usedHost(trial, config);
    for (const container of containers) {
      await container.add();
      const addresses = await addressesOf(container.pod, 'eth0');
      expect(addresses).toEqual([
        expect.stringMatching(/^10\.30\.\d+\.\d+\/16$/),
        expect.stringMatching(/^fd30::.+\/64$/),
      ]);
      expect(await linkOf(container.pod, 'eth0')).toMatchObject({ mtu: 1450 });
      for (const family of [4, 6] as const)
        expect(await routesOf(container.pod, family)).toContainEqual(
          expect.objectContaining({ dst: 'default' }),
        );
      for (const address of container.addresses) expect(await ping(trial.host, address)).toBe(true);
    }
    const [a, b] = containers;
    for (const address of b?.addresses ?? []) expect(await ping(a?.pod ?? trial.host, address)).toBe(true);
    for (const container of containers) {
      if (from('0.4.0')(trial.version)) await container.check();
      await container.del();
    }
    expect(leftovers(before, await snapshot(trial.host), [/^netns pod3: /])).toEqual(nothing);
  },
});

/** What vxlan does beyond what every network plugin does. */
export const vxlanScenarios: readonly Case[] = [
  lifecycle('veth'),
  lifecycle('bridge'),
  {
    id: 'vxlan-device',
    covers: ['A5'],
    title: 'the node has a VXLAN device with a route, a neighbour and an FDB entry for the other node',
    applies,
    versions: 'newest',
    run: async (trial) => {
      const { host } = trial;
      await (await trial.container()).add();
      const details = await host.exec(['ip', '-d', 'link', 'show', 'dev', 'pwvxlan30']);
      expect(details).toMatch(/vxlan id 30 local 198\.51\.100\.1 .*dstport 8472 nolearning/);
      expect(await routesOf(host)).toContainEqual(
        expect.objectContaining({ dst: '10.29.0.0/16', dev: 'pwvxlan30' }),
      );
      const fdb = await host.exec(['bridge', 'fdb', 'show', 'dev', 'pwvxlan30']);
      const [, mac = ''] = /^(\S+) dst 198\.51\.100\.2 .*permanent/m.exec(fdb) ?? [];
      expect(await host.exec(['ip', 'neigh', 'show', 'dev', 'pwvxlan30'])).toContain(
        `lladdr ${mac} PERMANENT`,
      );
    },
  },
  {
    id: 'vxlan-mtu-too-large',
    covers: [],
    title: 'an MTU that the underlay does not carry is refused',
    applies,
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container({ config: trial.config({ mtu: 1451 }) });
      expect(expectError(await container.attempt('ADD'), 7).msg).toMatch(/1451.*1450/);
      expect(await linkNames(container.pod)).toEqual(['lo']);
    },
  },
  {
    id: 'vxlan-del-unconfigured',
    covers: ['D2', 'D3'],
    title: 'DEL of what was never added is done, also where the nodes are not known any more',
    applies,
    versions: 'newest',
    run: async (trial) => {
      const before = await snapshot(trial.host);
      for (const peers of [dualStack, 'agent', '/none.json', []]) {
        const container = await trial.container({ config: trial.config({ peers, ipMasq: false }) });
        expectSilence(await container.attempt('DEL'));
        await container.pod.remove();
      }
      expect(leftovers(before, await snapshot(trial.host))).toEqual(nothing);
    },
  },
];
