import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Pod } from '../support/pod.ts';
import { leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { ping } from '../support/traffic.ts';
import { Attachment, allVersions } from './attachment.ts';
import { linkOf } from './kernel-state.ts';

describe('loopback', () => {
  let host: TestHost;
  let pod: Pod;
  beforeEach(async () => {
    host = await createHost({ name: 'loopback' });
    pod = await host.addPod('pod');
  });
  afterEach(() => host.dispose());

  const config = { cniVersion: '1.1.0', name: 'lo', type: 'loopback' };
  const isUp = async (): Promise<boolean> => (await linkOf(pod, 'lo')).flags.includes('UP');

  test.for(allVersions.map((cniVersion) => ({ cniVersion })))('$cniVersion', async ({ cniVersion }) => {
    const before = await snapshot(host);
    const attachment = new Attachment(host, pod, { ...config, cniVersion });
    const result = await attachment.add();
    if (cniVersion >= '0.3.0') {
      const version = (family: string): object => (cniVersion < '1.0.0' ? { version: family } : {});
      const mtu = cniVersion === '1.1.0' ? { mtu: 65536 } : {};
      expect(result).toEqual({
        cniVersion,
        interfaces: [{ name: 'lo', mac: '00:00:00:00:00:00', sandbox: pod.netns, ...mtu }],
        ips: [
          { ...version('4'), interface: 0, address: '127.0.0.1/8' },
          { ...version('6'), interface: 0, address: '::1/128' },
        ],
        ...(cniVersion < '1.0.0' ? { dns: {} } : {}),
      });
    } else {
      expect(result).toEqual({ cniVersion, ip4: { ip: '127.0.0.1/8' }, ip6: { ip: '::1/128' }, dns: {} });
    }
    for (const address of ['127.0.0.1', '::1']) expect(await ping(pod, address)).toBe(true);
    if (cniVersion >= '0.4.0') await attachment.check();
    await attachment.del();
    expect(await isUp()).toBe(false);
    await attachment.del();
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);
  });

  const whole = {
    name: 'eth0',
    mac: '02:00:00:00:00:01',
    mtu: 1400,
    sandbox: '/s',
    pciID: '1',
    socketPath: '/p',
  };
  const route = {
    dst: '0.0.0.0/0',
    gw: '10.0.0.1',
    mtu: 1300,
    advmss: 1200,
    priority: 7,
    table: 9,
    scope: 0,
  };
  test.for([
    {
      cniVersion: '1.1.0',
      interfaces: [whole],
      ips: [{ address: '10.0.0.2/8', gateway: '10.0.0.1', interface: 0 }],
      routes: [route],
      dns: { nameservers: ['10.0.0.53'], domain: 'd', search: ['s'], options: ['o'] },
    },
    { cniVersion: '1.0.0', ips: [{ address: '10.0.0.2/8' }] },
    {
      cniVersion: '0.4.0',
      interfaces: [{ name: 'eth0' }],
      ips: [{ version: '6', address: 'fd00::2/64' }],
      dns: {},
    },
    {
      cniVersion: '0.2.0',
      ip4: { ip: '10.0.0.2/8', gateway: '10.0.0.1', routes: [{ dst: '10.1.0.0/16' }] },
      dns: {},
    },
  ])('passes on what an earlier plugin made: $cniVersion', async (prevResult) => {
    const json = { ...config, cniVersion: prevResult.cniVersion, prevResult };
    expect(await new Attachment(host, pod, json).add()).toEqual(prevResult);
    expect(await isUp()).toBe(true);
  });

  test('is lo, whatever CNI_IFNAME says', async () => {
    await pod.exec(['ip', 'link', 'add', 'eth0', 'type', 'ifb']);
    const attachment = new Attachment(host, pod, config, { ifname: 'eth0' });
    expect((await attachment.add()).interfaces?.[0]?.name).toBe('lo');
    expect((await linkOf(pod, 'eth0')).flags).not.toContain('UP');
    await attachment.add();
  });

  test('CHECK tells that it is down, or lost an address', async () => {
    const attachment = new Attachment(host, pod, config);
    await attachment.add();
    await pod.exec(['ip', 'addr', 'del', '127.0.0.1/8', 'dev', 'lo']);
    expect(await attachment.finding()).toContain('127.0.0.1/8');
    await pod.exec(['ip', 'link', 'set', 'lo', 'down']);
    expect(await attachment.finding()).toContain('down');
  });

  test('is never that of the host', async () => {
    for (const netns of ['/proc/self/ns/net', '/proc/thread-self/ns/net']) {
      const attachment = new Attachment(host, netns, config);
      expect((await attachment.attempt('ADD')).error?.code).toBe(8);
      await attachment.del();
    }
    expect((await linkOf(host, 'lo')).flags).toContain('UP');
  });

  test.for(['', '/run/netns/gone', '/etc/passwd'])('DEL with the netns %j is done', async (netns) => {
    await new Attachment(host, netns, config).del();
    const { error } = await new Attachment(host, netns, config).attempt('ADD');
    expect(error?.code).toBe(netns === '' ? 4 : 8);
  });
});
