import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { expectPlugins, referenceBin } from './binaries.ts';
import { callPlugin, expectDone, expectResult, newContainerId, startPlugin } from './call-plugin.ts';
import { connectOutside, createSwitch, linkHosts } from './links.ts';
import { runProcess } from './process.ts';
import { keptBridge, leftovers, nothing, snapshot } from './snapshot.ts';
import { createHost, type TestHost } from './test-host.ts';
import { ping, startServer, whoSees } from './traffic.ts';

// The harness itself, shown to be right with the reference plugins.
const bridgeConfig = {
  cniVersion: '1.0.0',
  name: 'harness',
  type: 'bridge',
  bridge: 'cni0',
  isGateway: true,
  ipMasq: true,
  ipam: { type: 'host-local', subnet: '10.1.0.0/16', routes: [{ dst: '0.0.0.0/0' }] },
};

describe('a test host', () => {
  let host: TestHost;
  beforeEach(async () => {
    host = await createHost({ name: 'harness' });
  });
  afterEach(() => host.dispose());

  test('is empty, up, and apart from the machine', async () => {
    const links = JSON.parse(await host.exec(['ip', '-j', 'link'])) as { ifname: string; flags: string[] }[];
    expect(links.map((link) => link.ifname)).toEqual(['lo']);
    expect(links[0]?.flags).toContain('UP');
    expect((await host.exec(['ls', '/sys/class/net'])).trim()).toBe('lo');
    await host.shell('echo x >/run/podwire/file; echo x >/var/lib/cni/file');
    expect(existsSync('/run/podwire/file') || existsSync('/var/lib/cni/file')).toBe(false);
    expect(existsSync(host.path('/var/lib/cni/file'))).toBe(true);
  });

  test('tells how a process ended', async () => {
    expect(await host.attempt(['sh', '-c', 'echo out; echo err >&2; exit 3'])).toMatchObject({
      exitCode: 3,
      stdout: 'out\n',
      stderr: 'err\n',
      timedOut: false,
    });
    expect(await host.attempt(['sleep', '20'], { timeout: 50 })).toMatchObject({
      timedOut: true,
      signal: 'SIGKILL',
    });
    await expect(host.exec(['false'])).rejects.toThrow('false exited with 1');
    expect(await host.exec(['cat'], { stdin: 'text' })).toBe('text');
    expect(await host.attempt(['cat'], { stdin: 'text', holdStdin: true, timeout: 100 })).toMatchObject({
      stdout: 'text',
      timedOut: true,
    });
    expect(await host.attempt(['echo', 'x'], { stdout: 'closed' })).toMatchObject({
      exitCode: 1,
      stdout: '',
    });
    expect(await host.attempt(['echo', 'x'], { stdout: { file: '/dev/full' } })).toMatchObject({
      exitCode: 1,
    });
    expect(await host.exec(['env'], { env: { A: '1' } })).toBe('A=1\n');
  });

  test('kills what is still running when it is disposed', async () => {
    const sleeper = host.start(['sh', '-c', 'sleep 1000 & echo $!; wait']);
    const orphan = host.start(['sh', '-c', 'setsid sleep 1000 >/dev/null 2>&1 & echo $!']);
    const pid = Number((await orphan.outcome).stdout);
    // A zombie has no executable, so this does not depend on who reaps it.
    expect(existsSync(`/proc/${pid}/exe`)).toBe(true);
    await host.dispose();
    expect((await sleeper.outcome).signal).toBe('SIGKILL');
    await expect.poll(() => existsSync(`/proc/${pid}/exe`)).toBe(false);
    expect(() => host.start(['true'])).toThrow('is disposed');
  });

  test('kills what is still running when its owner was killed', async () => {
    const fixture = join(import.meta.dirname, 'killed-owner.fixture.ts');
    const { stdout, signal } = await runProcess([process.execPath, fixture]);
    expect(signal).toBe('SIGKILL');
    await expect.poll(() => existsSync(`/proc/${Number(stdout)}/exe`), { timeout: 5000 }).toBe(false);
  });

  test('runs a plugin, sees what it made, and sees that it is gone', async () => {
    expectPlugins(referenceBin, 'bridge', 'host-local');
    const [a, b] = [await host.addPod('a'), await host.addPod('b')];
    const outside = await connectOutside(host, '198.51.100.0/24');
    const before = await snapshot(host);
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);
    const call = { binDir: referenceBin, plugin: 'bridge', config: bridgeConfig };
    const forA = { ...call, containerId: newContainerId(), netns: a };
    const forB = { ...call, containerId: newContainerId(), netns: b };
    const result = expectResult(await callPlugin(host, { ...forA, command: 'ADD' }));
    expectResult(await callPlugin(host, { ...forB, command: 'ADD' }));
    expect(result.ips?.[0]?.address).toBe('10.1.0.2/16');
    expect((await a.addresses('eth0')).map(({ local }) => local)).toContain('10.1.0.2');

    await startServer(b, 80);
    await startServer(outside.place, 80);
    expect(await ping(a, '10.1.0.3')).toBe(true);
    expect(await ping(a, '10.1.0.99')).toBe(false);
    expect(await whoSees(a, '10.1.0.3', 80)).toBe('10.1.0.2');
    expect(await whoSees(a, outside.addresses[0] ?? '', 80)).toBe(outside.hostAddresses[0]);
    expect(await whoSees(a, '10.1.0.3', 81)).toBeUndefined();

    const { added } = leftovers(before, await snapshot(host));
    expect(added).toContain('link cni0 bridge mtu 1500 up');
    expect(added.some((line) => line.startsWith('netns a: addr eth0 10.1.0.2/16'))).toBe(true);
    expect(added.some((line) => line.startsWith('file /var/lib/cni/networks/harness/10.1.0.2'))).toBe(true);
    expect(added.some((line) => line.startsWith('iptables-nft nat -A POSTROUTING -s 10.1.0.2'))).toBe(true);

    expectDone(await callPlugin(host, { ...forA, command: 'DEL' }));
    expectDone(await callPlugin(host, { ...forB, command: 'DEL' }));
    expect(leftovers(before, await snapshot(host), keptBridge('cni0'))).toEqual(nothing);
  });

  test('tells a plugin call that failed, hung or was killed', async () => {
    const call = {
      binDir: referenceBin,
      plugin: 'bridge',
      containerId: newContainerId(),
      config: bridgeConfig,
    };
    const failed = await callPlugin(host, { ...call, command: 'ADD', netns: '/run/netns/missing' });
    expect(failed).toMatchObject({ exitCode: 1, result: undefined, error: { code: 999 } });
    expect(() => expectResult(failed)).toThrow('/run/netns/missing');
    const unset = await callPlugin(host, { ...call, command: 'ADD', env: { CNI_PATH: undefined } });
    expect(unset.error?.code).toBe(4);
    const version = await callPlugin(host, { ...call, command: 'VERSION' });
    expect(version.result?.supportedVersions).toContain('1.0.0');
    const hanging = startPlugin(host, { ...call, command: 'ADD', netns: '/run/netns/a', holdStdin: true });
    hanging.kill('SIGTERM');
    expect((await hanging.outcome).signal).toBe('SIGTERM');
  });
});

describe('several hosts', () => {
  test('talk over a link and over a switch', async () => {
    await using a = await createHost();
    await using b = await createHost();
    const lan = await createSwitch();
    a.onDispose(lan.dispose);
    await linkHosts(
      [a, { ifname: 'direct', addresses: ['10.8.0.1/24', 'fd08::1/64'] }],
      [b, { ifname: 'direct', addresses: ['10.8.0.2/24', 'fd08::2/64'], mtu: 1400 }],
    );
    await lan.plug(a, { addresses: ['10.9.0.1/24'] });
    await lan.plug(b, { addresses: ['10.9.0.2/24'] });
    expect(await ping(a, '10.8.0.2')).toBe(true);
    expect(await ping(b, 'fd08::1')).toBe(true);
    expect(await ping(a, '10.9.0.2')).toBe(true);
  });

  test('with a PID namespace, nothing of it survives', async () => {
    const host = await createHost({ pidNamespace: true });
    expect((await host.exec(['sh', '-c', 'echo $$; ls -d /proc/[0-9]*'])).split('\n').length).toBeLessThan(8);
    await host.shell('setsid sleep 4321 >/dev/null 2>&1 </dev/null &');
    await host.dispose();
    expect(existsSync(`/proc/${host.pid}`)).toBe(false);
  });
});
