import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { keptBridge, leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { ping } from '../support/traffic.ts';
import { Attachment, allVersions, type NetworkConfig } from './attachment.ts';
import { addressesOf, linkOf, routesOf } from './kernel-state.ts';

const config = { name: 'life', type: 'bridge', bridge: 'cni0' };
const hasIps = (version: string): boolean => version >= '0.3.0';
const hasCheck = (version: string): boolean => version >= '0.4.0';

const v4 = { subnet: '10.1.2.0/24' };
const v6 = { subnet: 'fd00:1:2::/64' };

describe('bridge', () => {
  let host: TestHost;
  beforeEach(async () => {
    host = await createHost({ name: 'life' });
  });
  afterEach(() => host.dispose());

  test.for(allVersions.map((cniVersion) => ({ cniVersion })))(
    '$cniVersion: default gateway, two families',
    async ({ cniVersion }) => {
      const pod = await host.addPod('pod');
      const before = await snapshot(host);
      const attachment = new Attachment(host, pod, {
        ...config,
        cniVersion,
        isDefaultGateway: true,
        ipam: { type: 'host-local', ranges: [[v4], [v6]] },
      });
      const result = await attachment.add();
      expect(result.cniVersion).toBe(cniVersion);
      const [bridge, eth0] = [await linkOf(host, 'cni0'), await linkOf(pod, 'eth0')];
      if (hasIps(cniVersion)) {
        const mtu = cniVersion === '1.1.0' ? { mtu: 1500 } : {};
        const version = (family: string): object => (cniVersion < '1.0.0' ? { version: family } : {});
        expect(result).toEqual({
          cniVersion,
          interfaces: [
            { name: 'cni0', mac: bridge.address, ...mtu },
            { name: attachment.port, mac: (await linkOf(host, attachment.port)).address, ...mtu },
            { name: 'eth0', mac: eth0.address, sandbox: pod.netns, ...mtu },
          ],
          ips: [
            { ...version('4'), interface: 2, address: '10.1.2.2/24', gateway: '10.1.2.1' },
            { ...version('6'), interface: 2, address: 'fd00:1:2::2/64', gateway: 'fd00:1:2::1' },
          ],
          routes: [
            { dst: '0.0.0.0/0', gw: '10.1.2.1' },
            { dst: '::/0', gw: 'fd00:1:2::1' },
          ],
          ...(cniVersion < '1.0.0' ? { dns: {} } : {}),
        });
      } else {
        expect(result).toEqual({
          cniVersion,
          ip4: { ip: '10.1.2.2/24', gateway: '10.1.2.1', routes: [{ dst: '0.0.0.0/0', gw: '10.1.2.1' }] },
          ip6: {
            ip: 'fd00:1:2::2/64',
            gateway: 'fd00:1:2::1',
            routes: [{ dst: '::/0', gw: 'fd00:1:2::1' }],
          },
          dns: {},
        });
      }
      expect(await addressesOf(pod, 'eth0')).toEqual(['10.1.2.2/24', 'fd00:1:2::2/64']);
      expect(await addressesOf(host, 'cni0')).toEqual(['10.1.2.1/24', 'fd00:1:2::1/64']);
      expect(bridge.flags).toContain('UP');
      for (const address of ['10.1.2.1', 'fd00:1:2::1']) expect(await ping(pod, address)).toBe(true);
      if (hasCheck(cniVersion)) await attachment.check();
      else expect((await attachment.attempt('CHECK')).error?.code).toBe(1);
      await attachment.del();
      expect(leftovers(before, await snapshot(host), keptBridge('cni0'))).toEqual(nothing);
      await attachment.del();
    },
  );

  test.for([
    { what: 'one range', ranges: [[v4]], ips: ['10.1.2.2/24'] },
    { what: 'IPv6 only', ranges: [[v6]], ips: ['fd00:1:2::2/64'] },
    {
      what: 'alternatives of one set',
      ranges: [[{ ...v4, rangeStart: '10.1.2.7', rangeEnd: '10.1.2.7' }, { subnet: '10.1.3.0/24' }]],
      ips: ['10.1.2.7/24'],
    },
    {
      what: 'two IPv4 sets and one IPv6',
      ranges: [[v4], [{ subnet: '192.168.5.0/24' }], [v6]],
      ips: ['10.1.2.2/24', '192.168.5.2/24', 'fd00:1:2::2/64'],
    },
    {
      what: 'two IPv6 sets',
      ranges: [[v6], [{ subnet: 'fd00:1:3::/64' }]],
      ips: ['fd00:1:2::2/64', 'fd00:1:3::2/64'],
    },
  ])('ADD, CHECK, DEL with $what', async ({ ranges, ips }) => {
    const pod = await host.addPod('pod');
    const before = await snapshot(host);
    const attachment = new Attachment(host, pod, {
      ...config,
      cniVersion: '1.1.0',
      isDefaultGateway: true,
      ipam: { type: 'host-local', ranges },
    });
    const result = await attachment.add();
    expect(result.ips?.map(({ address }) => address)).toEqual(ips);
    // The kernel lists the newest IPv6 address first.
    expect((await addressesOf(pod, 'eth0')).toSorted()).toEqual(ips.toSorted());
    // One default route for each family, by the first gateway.
    const families = new Set(ips.map((ip) => (ip.includes(':') ? '::/0' : '0.0.0.0/0')));
    expect(result.routes?.map(({ dst }) => dst)).toEqual([...families]);
    for (const { gateway } of result.ips ?? []) expect(await ping(pod, gateway ?? '')).toBe(true);
    await attachment.check();
    await attachment.del();
    expect(leftovers(before, await snapshot(host), keptBridge('cni0'))).toEqual(nothing);
  });

  test.for(allVersions.map((cniVersion) => ({ cniVersion })))(
    '$cniVersion: without ipam',
    async ({ cniVersion }) => {
      const pod = await host.addPod('pod');
      const before = await snapshot(host);
      const layer2: NetworkConfig = { ...config, cniVersion, isGateway: true, ipam: {} };
      const attachment = new Attachment(host, pod, layer2);
      if (!hasIps(cniVersion)) {
        // A result of these versions has no place for what there is.
        const { error } = await attachment.attempt('ADD');
        expect(error).toMatchObject({ cniVersion, code: 7 });
        expect(leftovers(before, await snapshot(host), keptBridge('cni0'))).toEqual(nothing);
        return;
      }
      const result = await attachment.add();
      expect(result.interfaces?.map(({ name }) => name)).toEqual(['cni0', attachment.port, 'eth0']);
      expect(result.ips).toBeUndefined();
      expect((await linkOf(pod, 'eth0')).flags).toContain('LOWER_UP');
      expect(await addressesOf(pod, 'eth0')).toEqual([]);
      expect(await routesOf(pod)).toEqual([]);
      if (hasCheck(cniVersion)) await attachment.check();
      await attachment.del();
      expect(leftovers(before, await snapshot(host), keptBridge('cni0'))).toEqual(nothing);
    },
  );
});
