import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { keptBridge, leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { ping } from '../support/traffic.ts';
import { Attachment, attachPod } from './attachment.ts';
import { addressesOf, linkOf, reservations } from './kernel-state.ts';

const config = {
  cniVersion: '1.1.0',
  name: 'device',
  type: 'bridge',
  bridge: 'br0',
  isGateway: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.2.0.0/24' }], [{ subnet: 'fd02::/64' }]] },
};

describe('the bridge itself', () => {
  let host: TestHost;
  beforeEach(async () => {
    host = await createHost({ name: 'device' });
  });
  afterEach(() => host.dispose());

  test('is cni0 unless named, and has the MTU asked for', async () => {
    const { bridge: _, ...unnamed } = config;
    const { attachment, pod } = await attachPod(host, 'pod', { ...unnamed, mtu: 1400 });
    expect(attachment.result?.interfaces?.map(({ name, mtu }) => [name, mtu])).toEqual([
      ['cni0', 1400],
      [attachment.port, 1400],
      ['eth0', 1400],
    ]);
    expect((await linkOf(host, 'cni0')).mtu).toBe(1400);
    expect((await linkOf(host, attachment.port)).mtu).toBe(1400);
    expect((await linkOf(pod, 'eth0')).mtu).toBe(1400);
  });

  test('is reused when it is there, down or up, with what it has', async () => {
    await host.shell(
      'ip link add br0 type bridge; ip link set br0 mtu 1300; ip addr add 10.2.0.1/24 dev br0',
    );
    const { ifindex } = await linkOf(host, 'br0');
    const { pod } = await attachPod(host, 'pod', config);
    const bridge = await linkOf(host, 'br0');
    expect(bridge).toMatchObject({ ifindex, mtu: 1300 });
    expect(bridge.flags).toContain('UP');
    expect(await addressesOf(host, 'br0')).toEqual(['10.2.0.1/24', 'fd02::1/64']);
    for (const address of ['10.2.0.1', 'fd02::1']) expect(await ping(pod, address)).toBe(true);
  });

  test.for(['veth peer name other', 'ifb', 'vxlan id 7 dstport 4789'])('must not be a %s', async (kind) => {
    await host.exec(['ip', 'link', 'add', 'br0', 'type', ...kind.split(' ')]);
    const pod = await host.addPod('pod');
    const before = await snapshot(host);
    const attachment = new Attachment(host, pod, config);
    const { error } = await attachment.attempt('ADD');
    expect(error).toMatchObject({ code: 103, msg: expect.stringContaining('"br0"') });
    expect(await reservations(host, 'device')).toEqual([]);
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);
    await attachment.del();
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);
  });

  test.for(['a/b', 'a b', '.', '..', 'br%d', 'sixteen-letters-', 'a"b', 'é'])(
    'cannot be called %j',
    async (bridge) => {
      const pod = await host.addPod('pod');
      const { error } = await new Attachment(host, pod, { ...config, bridge }).attempt('ADD');
      expect(error).toMatchObject({ code: 7, msg: expect.stringContaining('"bridge"') });
      expect(await reservations(host, 'device')).toEqual([]);
    },
  );

  test.for([
    { made: 'by the plugin', before: 'true' },
    { made: 'by others, without an address', before: 'ip link add br0 up type bridge' },
  ])('keeps its MAC as ports come and go, made $made', async ({ before }) => {
    await host.shell(before);
    const first = await attachPod(host, 'first', config);
    const mac = (await linkOf(host, 'br0')).address;
    expect(first.attachment.result?.interfaces?.[0]?.mac).toBe(mac);
    // A bridge that keeps none takes that of the lowest of its ports.
    await host.shell('ip link add low address 00:00:00:00:00:01 master br0 type veth peer name low1');
    await attachPod(host, 'second', config);
    expect((await linkOf(host, 'br0')).address).toBe(mac);
    await host.exec(['ip', 'link', 'del', 'low']);
    await first.attachment.del();
    expect((await linkOf(host, 'br0')).address).toBe(mac);
  });

  test('is promiscuous with promiscMode', async () => {
    const { attachment } = await attachPod(host, 'pod', { ...config, promiscMode: true });
    expect((await linkOf(host, 'br0')).flags).toContain('PROMISC');
    await attachment.check();
    await host.exec(['ip', 'link', 'set', 'br0', 'promisc', 'off']);
    expect(await attachment.finding()).toContain('promiscuous');
    await attachPod(host, 'second', { ...config, promiscMode: true });
    await attachment.check();
  });

  test('serves two networks, and an address that only one of them forces away', async () => {
    const other = { ...config, name: 'other', ipam: { type: 'host-local', subnet: '10.99.0.0/24' } };
    await attachPod(host, 'a', config);
    const pod = await host.addPod('b');
    const before = await snapshot(host);
    const attachment = new Attachment(host, pod, other);
    const { error } = await attachment.attempt('ADD');
    expect(error).toMatchObject({ code: 103 });
    expect(error?.msg).toMatch(/10\.2\.0\.1\/24.*10\.99\.0\.1\/24/);
    expect(error?.details).toContain('forceAddress');
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);

    const forced = new Attachment(host, pod, { ...other, forceAddress: true });
    await forced.add();
    expect(await addressesOf(host, 'br0')).toEqual(['10.99.0.1/24', 'fd02::1/64']);
    await forced.del();
    expect(leftovers(before, await snapshot(host), keptBridge('br0'))).toEqual(nothing);
  });

  test.for([
    { has: '10.2.0.254/24', ok: false },
    { has: '10.2.0.1/16', ok: false },
    { has: 'fd02::ffff/64', ok: false },
    { has: 'fd02::1/48', ok: false },
    { has: 'fd03::1/64', ok: true },
  ])('with $has: $ok', async ({ has, ok }) => {
    await host.shell(`ip link add br0 up type bridge; ip addr add ${has} dev br0 nodad`);
    const pod = await host.addPod('pod');
    const { error } = await new Attachment(host, pod, config).attempt('ADD');
    if (ok) {
      expect(error).toBeUndefined();
      expect(await addressesOf(host, 'br0')).toContain(has);
      return;
    }
    expect(error).toMatchObject({ code: 103, msg: expect.stringContaining(has) });
    expect(await addressesOf(host, 'br0')).toEqual([has]);
    await new Attachment(host, pod, { ...config, forceAddress: true }).add();
    expect(await addressesOf(host, 'br0')).toEqual(['10.2.0.1/24', 'fd02::1/64']);
  });

  test('takes a link-local gateway beside the address the kernel gave it', async () => {
    const addresses = [{ address: 'fd02::5/64', gateway: 'fe80::1' }];
    const ipam = { type: 'static', addresses, routes: [{ dst: '::/0' }] };
    await host.shell(
      'ip link add br0 up type bridge; ip link add p0 up master br0 type veth peer name p1; ip link set p1 up',
    );
    await expect.poll(() => host.exec(['ip', '-6', 'addr', 'show', 'dev', 'br0'])).toContain('fe80:');
    const { pod, attachment } = await attachPod(host, 'pod', { ...config, ipam });
    expect(await ping(pod, 'fe80::1%eth0')).toBe(true);
    await attachment.check();
  });
});
