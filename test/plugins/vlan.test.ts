import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { lackingKernel, requireKernel } from '../support/needs.ts';
import { keptBridge, leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { ping } from '../support/traffic.ts';
import { Attachment, attachPod } from './attachment.ts';
import { addressesOf, linkNames, linkOf } from './kernel-state.ts';

const ipam = { type: 'host-local', ranges: [[{ subnet: '10.15.0.0/24' }], [{ subnet: 'fd15::/64' }]] };
const config = { cniVersion: '1.1.0', name: 'vlans', type: 'bridge', bridge: 'br0' };

/** What `bridge -j vlan` shows of a port: `1`, `100 PVID untagged`. */
const vlansOf = async (host: TestHost, port: string): Promise<string[]> => {
  const output = await host.exec(['bridge', '-j', 'vlan', 'show', 'dev', port]);
  const ports = JSON.parse(output) as { vlans: { vlan: number; vlanEnd?: number; flags?: string[] }[] }[];
  return ports
    .flatMap(({ vlans }) => vlans)
    .map(({ vlan, vlanEnd, flags = [] }) =>
      [
        vlanEnd === undefined ? vlan : `${vlan}-${vlanEnd}`,
        ...flags.map((flag) => flag.replace('Egress ', '')),
      ]
        .join(' ')
        .toLowerCase(),
    );
};

describe('VLANs of a bridge', () => {
  let host: TestHost;
  beforeEach(async () => {
    host = await createHost({ name: 'vlans' });
  });
  afterEach(() => host.dispose());

  test.for([
    { vlan: 100 },
    { vlanTrunk: [{ id: 101 }, { minID: 200, maxID: 210 }] },
    { vlan: 100, isGateway: true, ipam },
  ])('on a kernel without the filter %j is refused, and nothing is left', async (keys, context) => {
    if (lackingKernel('bridge vlan filtering') === undefined)
      context.skip('the kernel has bridge VLAN filtering');
    const pod = await host.addPod('pod');
    const before = await snapshot(host);
    const attachment = new Attachment(host, pod, { ...config, ...keys });
    const { error } = await attachment.attempt('ADD');
    expect(error).toMatchObject({ code: 104, msg: expect.stringContaining('VLAN') });
    expect(error?.details).toContain('CONFIG_BRIDGE_VLAN_FILTERING');
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);
    await host.shell('ip link add br0 up type bridge');
    expect((await attachment.attempt('ADD')).error?.code).toBe(104);
    expect(leftovers(before, await snapshot(host), keptBridge('br0'))).toEqual(nothing);
    await attachment.del();
  });

  test.for([
    { keys: { vlan: 4095 }, at: 'vlan' },
    { keys: { vlan: -1 }, at: 'vlan' },
    { keys: { vlan: 1.5 }, at: 'vlan' },
    { keys: { vlan: '100' }, at: 'vlan' },
    { keys: { vlanTrunk: {} }, at: 'vlanTrunk' },
    { keys: { vlanTrunk: [7] }, at: 'vlanTrunk' },
    { keys: { vlanTrunk: [{}] }, at: 'vlanTrunk[0].id' },
    { keys: { vlanTrunk: [{ id: 0 }] }, at: 'vlanTrunk[0].id' },
    { keys: { vlanTrunk: [{ id: 5 }, { id: 4095 }] }, at: 'vlanTrunk[1].id' },
    { keys: { vlanTrunk: [{ id: -1 }] }, at: 'vlanTrunk[0].id' },
    { keys: { vlanTrunk: [{ minID: 5 }] }, at: 'vlanTrunk[0].maxID' },
    { keys: { vlanTrunk: [{ maxID: 5 }] }, at: 'vlanTrunk[0].minID' },
    { keys: { vlanTrunk: [{ minID: 6, maxID: 5 }] }, at: 'vlanTrunk[0].minID' },
    { keys: { vlanTrunk: [{ minID: 0, maxID: 5 }] }, at: 'vlanTrunk[0].minID' },
    { keys: { vlanTrunk: [{ minID: 1, maxID: 4095 }] }, at: 'vlanTrunk[0].maxID' },
    { keys: { vlan: 4000, bridge: 'eleven-long', isGateway: true, ipam }, at: 'bridge' },
  ])('are checked: $keys', async ({ keys, at }) => {
    const pod = await host.addPod('pod');
    const before = await snapshot(host);
    const { error } = await new Attachment(host, pod, { ...config, ...keys }).attempt('ADD');
    expect(error).toMatchObject({ code: 7, msg: expect.stringContaining(`"${at}"`) });
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);
  });

  test.for([
    { keys: { vlan: 100 }, vlans: ['100 pvid untagged'] },
    { keys: { vlan: 1 }, vlans: ['1 pvid untagged'] },
    { keys: { vlan: 100, preserveDefaultVlan: true }, vlans: ['1 untagged', '100 pvid untagged'] },
    {
      keys: { vlanTrunk: [{ id: 101 }, { minID: 200, maxID: 202 }] },
      vlans: ['1 pvid untagged', '101', '200', '201', '202'],
    },
    { keys: { vlan: 100, vlanTrunk: [{ id: 101 }] }, vlans: ['100 pvid untagged', '101'] },
    {
      keys: { vlan: 100, vlanTrunk: [{ minID: 99, maxID: 101 }] },
      vlans: ['99', '100 pvid untagged', '101'],
    },
  ])('are those of the port: $keys', async ({ keys, vlans }, context) => {
    requireKernel(context, 'bridge vlan filtering');
    for (const defaultPvid of [1, 7, 0]) {
      const bridge = `br${defaultPvid}`;
      await host.shell(
        `ip link add ${bridge} up type bridge vlan_filtering 1 vlan_default_pvid ${defaultPvid}`,
      );
      const { attachment } = await attachPod(host, `pod${defaultPvid}`, { ...config, ...keys, bridge });
      const expected = vlans.filter((vlan) => vlan !== '1 untagged' || defaultPvid === 1);
      const found = await vlansOf(host, attachment.port);
      expect(found.filter((vlan) => vlan !== '7 untagged')).toEqual(expected);
      await attachment.check();
      await attachment.del();
    }
  });

  test('keep pods apart, with a gateway in each', async (context) => {
    requireKernel(context, 'bridge vlan filtering');
    const inVlan = (vlan: number) => {
      const subnets = [[{ subnet: `10.15.${vlan}.0/24` }], [{ subnet: `fd15:${vlan}::/64` }]];
      return {
        ...config,
        name: `vlan${vlan}`,
        isDefaultGateway: true,
        vlan,
        ipam: { type: 'host-local', ranges: subnets },
      };
    };
    const a = await attachPod(host, 'a', inVlan(100));
    const b = await attachPod(host, 'b', inVlan(100));
    const c = await attachPod(host, 'c', inVlan(200));
    expect(a.attachment.result?.interfaces?.map(({ name }) => name)).toEqual([
      'br0',
      a.attachment.port,
      'eth0',
      'br0.100',
    ]);
    expect(a.attachment.result?.interfaces?.[3]?.mac).toBe((await linkOf(host, 'br0.100')).address);
    expect(await addressesOf(host, 'br0.100')).toEqual(['10.15.100.1/24', 'fd15:100::1/64']);
    expect(await addressesOf(host, 'br0')).toEqual([]);
    for (const address of ['10.15.100.1', 'fd15:100::1', ...b.attachment.addresses]) {
      expect(await ping(a.pod, address)).toBe(true);
    }
    // By the gateway and not otherwise: a claims c's subnet for the link.
    expect(await ping(a.pod, c.attachment.address())).toBe(true);
    await a.pod.exec(['ip', 'addr', 'add', '10.15.200.77/24', 'dev', 'eth0']);
    expect(await ping(a.pod, c.attachment.address())).toBe(false);
    for (const { attachment } of [a, b, c]) await attachment.check();
    for (const { attachment } of [a, b, c]) await attachment.del();
    expect((await linkNames(host)).filter((name) => name.startsWith('br0.'))).toEqual(['br0.100', 'br0.200']);
  });
});
