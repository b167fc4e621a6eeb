import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { ping } from '../support/traffic.ts';
import { Attachment, allVersions, attachPod } from './attachment.ts';
import { addressesOf, linkNames, linkOf, reservations, routesOf } from './kernel-state.ts';

const ranges = [[{ subnet: '10.12.0.0/24' }], [{ subnet: 'fd12::/64' }]];
const ipam = { type: 'host-local', ranges, routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }] };

describe.for(['veth', 'ptp'])('%s', (type) => {
  let host: TestHost;
  beforeEach(async () => {
    host = await createHost({ name: 'veth' });
  });
  afterEach(() => host.dispose());

  const config = { cniVersion: '1.1.0', name: 'routed', type, ipam };

  test.for(allVersions.map((cniVersion) => ({ cniVersion })))('$cniVersion', async ({ cniVersion }) => {
    const pod = await host.addPod('pod');
    const before = await snapshot(host);
    const attachment = new Attachment(host, pod, { ...config, cniVersion, mtu: 1400 });
    const result = await attachment.add();
    if (cniVersion >= '0.3.0') {
      const mtu = cniVersion === '1.1.0' ? { mtu: 1400 } : {};
      const version = (family: string): object => (cniVersion < '1.0.0' ? { version: family } : {});
      expect(result).toEqual({
        cniVersion,
        interfaces: [
          { name: attachment.port, mac: (await linkOf(host, attachment.port)).address, ...mtu },
          { name: 'eth0', mac: (await linkOf(pod, 'eth0')).address, sandbox: pod.netns, ...mtu },
        ],
        ips: [
          { ...version('4'), interface: 1, address: '10.12.0.2/24', gateway: '10.12.0.1' },
          { ...version('6'), interface: 1, address: 'fd12::2/64', gateway: 'fd12::1' },
        ],
        routes: ipam.routes,
        ...(cniVersion < '1.0.0' ? { dns: {} } : {}),
      });
    } else {
      expect(result).toEqual({
        cniVersion,
        ip4: { ip: '10.12.0.2/24', gateway: '10.12.0.1', routes: [{ dst: '0.0.0.0/0' }] },
        ip6: { ip: 'fd12::2/64', gateway: 'fd12::1', routes: [{ dst: '::/0' }] },
        dns: {},
      });
    }
    expect((await linkOf(pod, 'eth0')).mtu).toBe(1400);
    expect(await addressesOf(pod, 'eth0')).toEqual(['10.12.0.2/24', 'fd12::2/64']);
    expect((await routesOf(pod)).map(({ dst, gateway }) => [dst, gateway])).toEqual([
      ['default', '10.12.0.1'],
      ['10.12.0.0/24', '10.12.0.1'],
      ['10.12.0.1', undefined],
    ]);
    for (const address of ['10.12.0.1', 'fd12::1']) expect(await ping(pod, address)).toBe(true);
    if (cniVersion >= '0.4.0') await attachment.check();
    await attachment.del();
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);
    await attachment.del();
  });

  test('dns is its own where given, else IPAM has it', async () => {
    const dns = { nameservers: ['10.12.0.53'], domain: 'ipam.test' };
    const addresses = [{ address: '10.12.0.5/24' }];
    const fromIpam = { ...config, ipam: { type: 'static', addresses, dns } };
    const own = { nameservers: ['192.0.2.53'] };
    for (const [json, expected] of [
      [fromIpam, dns],
      [{ ...fromIpam, dns: own }, own],
      [{ ...fromIpam, dns: { search: [] } }, undefined],
    ] as const) {
      const attachment = new Attachment(host, await host.addPod(`p${host.pods.length}`), json);
      expect((await attachment.add()).dns).toEqual(expected);
      await attachment.del();
    }
  });

  test.for([
    { what: 'no ipam', change: { ipam: {} }, code: 7 },
    { what: 'an MTU that is none', change: { mtu: -1 }, code: 7 },
    { what: 'an unknown IPAM plugin', change: { ipam: { type: 'nobody' } }, code: 101 },
    { what: 'no address', change: { ipam: { type: 'static' } }, code: 101 },
    { what: 'an MTU below what IPv6 needs', change: { mtu: 1000 }, code: 100 },
  ])('fails with $what, and nothing is left', async ({ change, code }) => {
    const pod = await host.addPod('pod');
    const before = await snapshot(host);
    const attachment = new Attachment(host, pod, { ...config, ...change });
    expect((await attachment.attempt('ADD')).error?.code).toBe(code);
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);
    expect(await reservations(host, 'routed')).toEqual([]);
  });

  test('leaves an interface alone that has the name already', async () => {
    const { pod, attachment } = await attachPod(host, 'pod', config);
    const before = await snapshot(host);
    const other = new Attachment(host, pod, { ...config, name: 'other' });
    for (const second of [attachment, other]) {
      expect((await second.attempt('ADD')).error?.code).toBe(103);
      expect(leftovers(before, await snapshot(host))).toEqual(nothing);
    }
    await other.del();
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);
    const routes = [{ dst: '192.0.2.0/24' }];
    const second = { ...config, ipam: { ...ipam, routes } };
    const options = { containerId: attachment.containerId, ifname: 'net1' };
    const net1 = new Attachment(host, pod, second, options);
    await net1.add();
    await net1.check();
    await net1.del();
    expect(await linkNames(pod)).toEqual(['lo', 'eth0']);
    await attachment.check();
  });
});
