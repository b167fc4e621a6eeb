import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { expectPlugins, referenceBin } from '../support/binaries.ts';
import type { Pod } from '../support/pod.ts';
import { keptBridge, leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { Attachment, attachPod, type CallOptions } from './attachment.ts';

const ipam = {
  type: 'host-local',
  ranges: [[{ subnet: '10.9.0.0/24' }], [{ subnet: 'fd09::/64' }]],
  routes: [{ dst: '0.0.0.0/0' }],
};
const common = { cniVersion: '1.0.0', name: 'deleted', ipMasq: true, ipam };
const bridge = { ...common, type: 'bridge', isGateway: true, macspoofchk: true };
const ptp = { ...common, type: 'ptp' };

/** What may have happened to an attachment before its DEL; `$A` its address, `$P` the host's end. */
interface Decay {
  what: string;
  host?: string;
  pod?: string;
  removeNetns?: boolean;
  call?: CallOptions;
}

const decays: Decay[] = [
  { what: 'nothing' },
  { what: 'nothing, and CNI_NETNS is empty', call: { netns: '' } },
  { what: 'nothing, and CNI_NETNS is not set', call: { env: { CNI_NETNS: undefined } } },
  { what: 'the netns is gone', removeNetns: true },
  { what: 'the netns is gone and not named', removeNetns: true, call: { netns: '' } },
  { what: 'CNI_NETNS is a file', removeNetns: true, host: 'touch /run/file', call: { netns: '/run/file' } },
  { what: 'CNI_NETNS is a directory', call: { netns: '/run/netns' } },
  { what: 'CNI_NETNS is the host', call: { netns: '/proc/self/ns/net' } },
  { what: 'the veth is gone', host: 'ip link del $P' },
  { what: 'the interface is gone from the pod', pod: 'ip link del eth0' },
  { what: 'the interface has another name', pod: 'ip link set eth0 down; ip link set eth0 name other' },
  { what: 'the packet filter was flushed', host: 'nft flush ruleset' },
  { what: 'the masquerade map was deleted', host: 'nft delete table inet podwire_masquerade' },
  { what: 'an address file is gone', host: 'rm /var/lib/cni/networks/deleted/$A' },
  { what: 'all of IPAM is gone', host: 'rm -r /var/lib/cni/networks' },
  { what: 'the record is gone', host: 'rm -r /run/podwire/*' },
  { what: 'record and netns are gone', host: 'rm -r /run/podwire/*', removeNetns: true },
  {
    what: 'the record is garbage',
    host: 'for f in /run/podwire/attachments/deleted/*; do echo "{" >"$f"; done',
  },
  {
    what: 'everything is gone',
    host: 'ip link del $P; rm -r /run/podwire/* /var/lib/cni/networks; nft flush ruleset',
    removeNetns: true,
  },
];
const prevResults = [
  undefined,
  null,
  'garbage',
  { cniVersion: '7.7', ips: 3 },
  { cniVersion: '1.0.0', interfaces: [{ name: 'lo' }], ips: [{ address: '10.9.0.77/24', interface: 9 }] },
];

describe.for([bridge, ptp])('DEL of $type', (config) => {
  let host: TestHost;
  let keeper: { pod: Pod; attachment: Attachment };
  beforeEach(async () => {
    host = await createHost({ name: 'del' });
    // A pod of another network, on the same bridge, must not notice any of this.
    const ipam = { type: 'static', addresses: [{ address: '192.0.2.7/24' }] };
    keeper = await attachPod(host, 'keeper', { cniVersion: '1.0.0', name: 'kept', type: config.type, ipam });
  });
  afterEach(() => host.dispose());

  test.for(decays)('after: $what', async ({ host: onHost, pod: inPod, removeNetns, call }) => {
    const pod = await host.addPod('pod');
    const attachment = new Attachment(host, pod, config);
    const before = await snapshot(host);
    await attachment.add();
    const fill = (script: string): string =>
      script.replaceAll('$A', attachment.address()).replaceAll('$P', attachment.port);
    if (inPod !== undefined) await pod.shell(fill(inPod));
    if (onHost !== undefined) await host.shell(fill(onHost));
    if (removeNetns) await pod.remove();
    await attachment.del(call);
    // What remains of the pod itself is not the plugin's.
    const kept = [/^netns pod/, ...keptBridge('cni0')];
    expect(leftovers(before, await snapshot(host), kept).added).toEqual([]);
    await keeper.attachment.check();
    await attachment.del(call);
    // Whoever comes next can have the same name again.
    if (!removeNetns && inPod?.includes('name other') !== true) await new Attachment(host, pod, config).add();
  });

  test('the configuration no longer asks for masquerade and spoof check', async () => {
    const pod = await host.addPod('pod');
    const before = await snapshot(host);
    const attachment = new Attachment(host, pod, config);
    await attachment.add();
    await attachment.del({ config: { ...config, ipMasq: false, macspoofchk: false } });
    expect(leftovers(before, await snapshot(host), keptBridge('cni0'))).toEqual(nothing);
  });

  test('without ADD, and for a configuration that ADD refuses', async () => {
    const pod = await host.addPod('pod');
    const before = await snapshot(host);
    const refused = [
      config,
      { ...config, bridge: '../x', mtu: 'big', vlan: 9999, ipMasqBackend: 7, dns: [] },
      { ...config, hairpinMode: true, promiscMode: true },
      { ...config, ipMasq: 'yes', macspoofchk: 1, vlanTrunk: {}, runtimeConfig: { mac: 'x' } },
      { ...config, ipam: 'host-local' },
      { ...config, ipam: { ...ipam, ranges: 'none' } },
    ];
    for (const [index, json] of refused.entries()) {
      const attachment = new Attachment(host, pod, json);
      if (index > 0 && config.type === 'bridge')
        expect((await attachment.attempt('ADD')).error?.code).toBeGreaterThan(0);
      await attachment.del();
    }
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);
  });

  test.for(prevResults.map((prevResult) => ({ prevResult })))(
    'prevResult: $prevResult',
    async ({ prevResult }) => {
      const pod = await host.addPod('pod');
      const before = await snapshot(host);
      const attachment = new Attachment(host, pod, config);
      await attachment.add();
      await attachment.del({ config: { ...config, prevResult } });
      expect(leftovers(before, await snapshot(host), keptBridge('cni0'))).toEqual(nothing);
    },
  );

  test("never touches the host's own interfaces", async () => {
    await host.shell(
      'ip link add eth0 type veth peer name eth1; ip addr add 192.0.2.1/24 dev eth0; ip link set eth0 up',
    );
    const before = await snapshot(host);
    for (const netns of ['/proc/self/ns/net', '/proc/thread-self/ns/net', '']) {
      const attachment = new Attachment(host, netns, config);
      await attachment.del();
      await new Attachment(host, netns, config, { ifname: 'lo' }).del();
    }
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);
    const { error } = await new Attachment(host, '/proc/self/ns/net', config).attempt('ADD');
    expect(error?.code).toBe(8);
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);
  });

  test('takes a pod away that the reference plugin made', async () => {
    expectPlugins(referenceBin, config.type, 'host-local');
    const pod = await host.addPod('pod');
    const before = await snapshot(host);
    const theirs = { ...config, macspoofchk: false };
    const attachment = new Attachment(host, pod, theirs, {});
    const added = await attachment.attempt('ADD', { binDir: referenceBin, path: [referenceBin] });
    expect(added.exitCode, added.stdout).toBe(0);
    attachment.result = added.result;
    await attachment.check();
    await attachment.del();
    expect(leftovers(before, await snapshot(host), keptBridge('cni0')).added).toEqual([]);
  });
});
