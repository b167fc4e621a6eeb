import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { ping } from '../support/traffic.ts';
import { Attachment, attachPod } from './attachment.ts';
import { addressesOf, linkNames, linkOf, reservations } from './kernel-state.ts';

const config = {
  cniVersion: '1.1.0',
  name: 'pods',
  type: 'bridge',
  isGateway: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.3.0.0/24' }], [{ subnet: 'fd03::/64' }]] },
};

describe("the container's end of a bridge port", () => {
  let host: TestHost;
  beforeEach(async () => {
    host = await createHost({ name: 'pods' });
  });
  afterEach(() => host.dispose());

  const fromArgs = 'c2:11:22:33:44:55';
  const fromCniArgs = 'c2:11:22:33:44:66';
  const fromRuntime = 'c2:11:22:33:44:77';
  test.for([
    { args: fromArgs, expected: fromArgs },
    { args: 'C2-11-22-33-44-55', expected: fromArgs },
    { cniArgs: fromCniArgs, expected: fromCniArgs },
    { runtime: fromRuntime, expected: fromRuntime },
    { args: fromArgs, cniArgs: fromCniArgs, expected: fromCniArgs },
    { args: fromArgs, runtime: fromRuntime, expected: fromRuntime },
    { args: fromArgs, cniArgs: fromCniArgs, runtime: fromRuntime, expected: fromRuntime },
    { args: fromArgs, cniArgs: '', runtime: '', expected: fromArgs },
  ])('gets its MAC: %j', async ({ args, cniArgs, runtime, expected }) => {
    const { pod, attachment } = await attachPod(
      host,
      'pod',
      {
        ...config,
        ...(cniArgs === undefined ? {} : { args: { cni: { mac: cniArgs } } }),
        ...(runtime === undefined ? {} : { runtimeConfig: { mac: runtime } }),
      },
      args === undefined ? {} : { args: `IgnoreUnknown=1;MAC=${args}` },
    );
    expect(attachment.result?.interfaces?.[2]?.mac).toBe(expected);
    expect((await linkOf(pod, 'eth0')).address).toBe(expected);
    expect(await ping(pod, '10.3.0.1')).toBe(true);
    await attachment.check();
  });

  test.for([
    'nonsense',
    '02:00:00:00:00',
    '01:00:5e:00:00:01',
    '00:00:00:00:00:00',
    '02:00:00:00:00:01:02:03',
  ])('cannot have the MAC %s', async (mac) => {
    const pod = await host.addPod('pod');
    const before = await snapshot(host);
    const attachment = new Attachment(host, pod, { ...config, runtimeConfig: { mac } });
    const { error } = await attachment.attempt('ADD');
    expect(error?.code).toBe(7);
    expect(error?.msg).toContain('runtimeConfig.mac');
    expect(error?.msg).toContain(mac);
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);
    await attachment.del();
  });

  test('must have a name that is free: the one that has it loses nothing', async () => {
    const { pod, attachment } = await attachPod(host, 'pod', { ...config, ipMasq: true });
    const before = await snapshot(host);
    // The same attachment once more, another network's, another container's: each with the DEL that follows.
    const again = await attachment.attempt('ADD');
    expect(again.error).toMatchObject({ code: 103, msg: expect.stringContaining('"eth0"') });
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);
    const others = [
      new Attachment(host, pod, { ...config, name: 'other', ipMasq: true }),
      new Attachment(host, pod, { ...config, ipMasq: true }),
    ];
    for (const other of others) {
      expect((await other.attempt('ADD')).error?.code).toBe(103);
      await other.del();
      expect(leftovers(before, await snapshot(host))).toEqual(nothing);
    }
    expect(await reservations(host, 'pods')).toEqual(['10.3.0.2', 'fd03::2']);
    await attachment.check();
    expect(await ping(pod, '10.3.0.1')).toBe(true);
  });

  test('is one of its kind: a second netns under the same id is refused while the first lives', async () => {
    const { pod, attachment } = await attachPod(host, 'pod', { ...config, ipMasq: true });
    const otherNetns = await host.addPod('other');
    const before = await snapshot(host);
    const second = await attachment.attempt('ADD', { netns: otherNetns });
    expect(second.error).toMatchObject({ code: 103, msg: expect.stringContaining('attached') });
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);
    await attachment.check();
    // A container that came back after its netns was lost is another matter.
    await pod.remove();
    expect((await attachment.attempt('ADD', { netns: otherNetns })).error).toBeUndefined();
    expect(await addressesOf(otherNetns, 'eth0')).toContain('10.3.0.2/24');
  });

  test('may be one of several of the same container', async () => {
    const { pod, attachment: first } = await attachPod(host, 'pod', config);
    const second = new Attachment(host, pod, config, { containerId: first.containerId, ifname: 'net1' });
    await second.add();
    expect(second.addresses).toEqual(['10.3.0.3', 'fd03::3']);
    expect(second.port).not.toBe(first.port);
    for (const attachment of [first, second]) await attachment.check();
    await first.del();
    expect(await linkNames(pod)).toEqual(['lo', 'net1']);
    expect(await reservations(host, 'pods')).toEqual(['10.3.0.3', 'fd03::3']);
    await second.check();
    expect(await ping(pod, '10.3.0.1')).toBe(true);
    await second.del();
    expect(await reservations(host, 'pods')).toEqual([]);
  });

  test('stays down with disableContainerInterface', async () => {
    const { ipam: _, ...layer2 } = config;
    const { pod, attachment } = await attachPod(host, 'pod', { ...layer2, disableContainerInterface: true });
    expect((await linkOf(pod, 'eth0')).flags).not.toContain('UP');
    await attachment.check();
    await attachment.del();
    const both = new Attachment(host, pod, { ...config, disableContainerInterface: true });
    const { error } = await both.attempt('ADD');
    expect(error).toMatchObject({ code: 7, msg: expect.stringContaining('disableContainerInterface') });
    await both.del();
    expect(await linkNames(pod)).toEqual(['lo']);
  });

  test('keeps its IPv6 addresses when it is taken down for a moment', async () => {
    const { pod } = await attachPod(host, 'pod', config);
    await pod.shell('ip link set eth0 down; ip link set eth0 address c2:11:22:33:44:88; ip link set eth0 up');
    expect(await addressesOf(pod, 'eth0')).toEqual(['10.3.0.2/24', 'fd03::2/64']);
  });

  test('gets IPv6 where the runtime has switched it off', async () => {
    const pod = await host.addPod('pod');
    await pod.shell('for i in all default lo; do echo 1 >/proc/sys/net/ipv6/conf/$i/disable_ipv6; done');
    const attachment = new Attachment(host, pod, config);
    await attachment.add();
    expect(await addressesOf(pod, 'eth0')).toEqual(['10.3.0.2/24', 'fd03::2/64']);
    expect(await ping(pod, 'fd03::1')).toBe(true);
  });

  const ipamDns = { nameservers: ['10.3.0.53'], domain: 'ipam.test', search: ['ipam.test'] };
  test.for([
    { dns: undefined, expected: ipamDns },
    { dns: {}, expected: ipamDns },
    { dns: { domain: '' }, expected: ipamDns },
    { dns: { nameservers: ['192.0.2.1'] }, expected: { nameservers: ['192.0.2.1'] } },
    {
      dns: { domain: 'own.test', options: ['ndots:2'] },
      expected: { domain: 'own.test', options: ['ndots:2'] },
    },
    { dns: { nameservers: [] }, expected: undefined },
  ])('reports dns: %j', async ({ dns, expected }) => {
    const addresses = [{ address: '10.3.0.9/24' }];
    const ipam = { type: 'static', addresses, dns: ipamDns };
    const { attachment } = await attachPod(host, 'pod', { ...config, ipam, ...(dns && { dns }) });
    expect(attachment.result?.dns).toEqual(expected);
  });
});
