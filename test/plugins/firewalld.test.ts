import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { podwireBin, referenceBin } from '../support/binaries.ts';
import { callPlugin, expectDone } from '../support/call-plugin.ts';
import { requireKernel, requireTool } from '../support/needs.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type ChainedPod, createFirewallNode, type FirewallNode } from './firewall-node.ts';

// firewalld itself, on a system bus of the host's own.
describe('firewall with firewalld', () => {
  let node: FirewallNode;
  beforeEach(async (context) => {
    requireTool(context, 'firewalld', 'firewall-cmd', 'dbus-daemon', 'dbus-send', 'nft', 'ping');
    requireKernel(context, 'nftables');
    node = await createFirewallNode();
    await startFirewalld();
  });
  afterEach(() => node?.host.dispose());

  const startFirewalld = async (): Promise<void> => {
    await node.host.exec(['mkdir', '-p', '/run/dbus']);
    const bus = ['dbus-daemon', '--system', '--nofork', '--nopidfile'];
    node.host.start([...bus, '--address=unix:path=/run/dbus/system_bus_socket'], { timeout: 600_000 });
    await waitUntil(
      'the bus is there',
      async () => (await node.host.attempt(['test', '-S', '/run/dbus/system_bus_socket'])).exitCode === 0,
    );
    node.host.start(['firewalld', '--nofork', '--nopid', '--log-file=/run/firewalld.log'], {
      timeout: 600_000,
    });
    await waitUntil('firewalld is there', async () => (await owner()).exitCode === 0, 30_000);
  };
  const owner = () =>
    node.host.attempt([
      ...['dbus-send', '--system', '--print-reply', '--dest=org.freedesktop.DBus', '/org/freedesktop/DBus'],
      ...['org.freedesktop.DBus.GetNameOwner', 'string:org.fedoraproject.FirewallD1'],
    ]);
  const sources = async (zone = 'trusted'): Promise<string[]> =>
    (await node.host.exec(['firewall-cmd', `--zone=${zone}`, '--list-sources']))
      .trim()
      .split(' ')
      .filter(Boolean)
      .toSorted();
  const sourcesOf = ({ addresses }: ChainedPod): string[] =>
    addresses.map((address) => `${address}/${address.includes(':') ? 128 : 32}`).toSorted();
  const network = (keys: Record<string, unknown> = {}) => ({ name: 'zoned', number: 6, firewall: keys });

  test('it is taken where it runs: ADD, CHECK, DEL', async () => {
    // What is in no zone by its source is in that of its interface.
    await node.host.exec(['firewall-cmd', '--zone=block', '--add-interface=cni0', '--add-interface=cni7']);
    const bare = await node.add('bare', {
      ...network(),
      name: 'bare',
      number: 7,
      bridge: 'cni7',
      firewall: null,
    });
    expect(await node.reaches(bare.pod, node.outside.addresses)).toBe(false);
    const pod = await node.add('pod', network());
    expect(await sources()).toEqual(sourcesOf(pod));
    expect(await node.reaches(pod.pod, node.outside.addresses)).toBe(true);
    await node.check(pod);
    const rules = await node.host.exec(['nft', 'list', 'tables']);
    expect(rules).not.toContain('podwire_firewall');
    await node.host.exec(['firewall-cmd', '--reload']);
    const { error } = await node.call(pod, 'CHECK');
    expect(error).toMatchObject({ code: 105 });
    expect(`${error?.msg} ${error?.details}`).toContain('10.60.6.2/32');
    expectDone(await node.call(pod, 'ADD'));
    await node.check(pod);
    // ADD again finds its own.
    expectDone(await node.call(pod, 'ADD'));
    expectDone(await node.call(pod, 'DEL', { prevResult: undefined }));
    expect(await sources()).toEqual([]);
    await node.del(pod);
  });

  test('zones: another one, one that is not there, and an address in two', async () => {
    const pod = await node.add('pod', network({ firewalldZone: 'internal' }));
    expect(await sources('internal')).toEqual(sourcesOf(pod));
    expect((await node.call(pod, 'ADD', { firewalldZone: 'public' })).error).toMatchObject({ code: 103 });
    await node.del(pod);
    const other = await node.add('other', { ...network(), firewall: null });
    const { error } = await node.call(other, 'ADD', { type: 'firewall', firewalldZone: 'nowhere' });
    expect(error).toMatchObject({ code: 7 });
    expect(error?.msg).toContain('"nowhere"');
  });

  test('a policy holds there, too', async () => {
    const keys = { firewalldZone: 'trusted', ingressPolicy: 'same-bridge' };
    const a = await node.add('a', { name: 'a', number: 8, bridge: 'cni8', firewall: keys });
    const b = await node.add('b', { name: 'b', number: 9, bridge: 'cni9', firewall: keys });
    expect(await sources()).toEqual([...sourcesOf(a), ...sourcesOf(b)].toSorted());
    expect(await node.reaches(a.pod, b.addresses)).toBe(false);
    expect(await node.reaches(a.pod, node.outside.addresses)).toBe(true);
    await node.check(a);
    for (const pod of [a, b]) await node.del(pod);
    expect(await sources()).toEqual([]);
  });

  test('GC, and STATUS', async () => {
    const a = await node.add('a', network());
    const b = await node.add('b', network());
    const config = { cniVersion: '1.1.0', name: 'zoned', type: 'firewall', backend: 'firewalld' };
    const call = { binDir: podwireBin, plugin: 'firewall' };
    const valid = [{ containerID: b.chain.containerId, ifname: 'eth0' }];
    expectDone(
      await callPlugin(node.host, {
        ...call,
        command: 'GC',
        config: { ...config, 'cni.dev/valid-attachments': valid },
      }),
    );
    expect(await sources()).toEqual(sourcesOf(b));
    expectDone(await callPlugin(node.host, { ...call, command: 'STATUS', config }));
    await node.del(a);
    await node.check(b);
  });

  test('either takes away what the reference or ours put there', async () => {
    const old = await node.add('old', network(), [referenceBin]);
    const fresh = await node.add('fresh', network());
    expect(await sources()).toEqual([...sourcesOf(old), ...sourcesOf(fresh)].toSorted());
    await node.check(old);
    await node.del(old);
    await node.del(fresh, { binDirs: [referenceBin] });
    expect(await sources()).toEqual([]);
  });
});
