import { afterEach, beforeEach, expect, test } from 'vitest';
import { expectPlugins, podwireBin, referenceBin } from '../support/binaries.ts';
import { requireKernel, requireRoot, requireTool } from '../support/needs.ts';
import type { Pod } from '../support/pod.ts';
import { expectSuccess } from '../support/process.ts';
import { keptBridge, leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { startServer, whoSees } from '../support/traffic.ts';
import { cacheDir, hostHas, podwire, writeNetwork } from './cli-host.ts';

// The runtime with the reference plugins, so that nothing of ours stands behind both sides.
const chain = {
  cniVersion: '1.0.0',
  name: 'ref',
  plugins: [
    {
      type: 'bridge',
      bridge: 'cni0',
      isGateway: true,
      ipMasq: true,
      capabilities: { mac: true },
      ipam: { type: 'host-local', subnet: '10.1.0.0/16', routes: [{ dst: '0.0.0.0/0' }] },
    },
    { type: 'portmap', capabilities: { portMappings: true }, snat: true },
  ],
};
const call = { binDirs: [referenceBin] };

let host: TestHost;
let web: Pod;
beforeEach(async (context) => {
  requireRoot(context);
  requireTool(context, 'iptables', 'ip');
  requireKernel(context, 'iptables (nft)');
  expectPlugins(podwireBin, 'podwire');
  expectPlugins(referenceBin, 'bridge', 'host-local', 'portmap', 'loopback');
  host = await createHost({ name: 'reference' });
  web = await host.addPod('web');
  writeNetwork(host, chain);
});
afterEach(() => host?.dispose());

test('a chain with a published port works and leaves nothing', async () => {
  await host.shell('ip link add cni0 type bridge; ip link set cni0 up');
  await web.exec(['ip', 'link', 'set', 'lo', 'up']);
  const before = await snapshot(host);
  const flags = ['--port', '8080:80', '--mac', '02:00:00:00:00:99'];
  const added = expectSuccess(await podwire(host, ['run', 'add', 'ref', 'web', ...flags], call));
  expect(
    added
      .split('\n')
      .slice(1)
      .map((line) => line.trimEnd()),
  ).toEqual([
    expect.stringMatching(/^ {2}container {3}cnitool-[0-9a-f]{20}$/),
    expect.stringMatching(/^ {2}interfaces {2}cni0 {10}host {7}([0-9a-f]{2}:){5}[0-9a-f]{2}$/),
    expect.stringMatching(/^ {14}veth[0-9a-f]{8} {2}host {7}/),
    '              eth0          container  02:00:00:00:00:99',
    '  addresses   10.1.0.2/16  on eth0  gateway 10.1.0.1',
    '  routes      0.0.0.0/0',
    '',
  ]);
  expect(added).toContain('added eth0 in /run/netns/web to ref\n');
  await startServer(web, 80);
  expect(await whoSees(host, '10.1.0.1', 8080)).toBeDefined();
  expectSuccess(await podwire(host, ['run', 'del', 'ref', 'web'], call));
  expectSuccess(await podwire(host, ['run', 'del', 'ref', 'web'], call));
  const portmapOwn = [/CNI-HOSTPORT/, /^file \S+ip_forward/];
  expect(leftovers(before, await snapshot(host), [...keptBridge('cni0'), ...portmapOwn])).toEqual(nothing);
  expect((await web.addresses('eth0')).length).toBe(0);
});

test('an add that fails late gives the address back; --keep leaves it for del', async () => {
  const reserved = '/var/lib/cni/networks/ref/10.1.0.2';
  const flags = [
    '--capability-args',
    '{"portMappings":[{"hostPort":-1,"containerPort":80,"protocol":"tcp"}]}',
  ];
  const failed = await podwire(host, ['run', 'add', 'ref', 'web', ...flags], call);
  expect(failed.stderr).toContain('from portmap (plugin 2 of 2 of network "ref", ADD)');
  expect(hostHas(host, reserved)).toBe(false);
  expect(await web.addresses('eth0')).toEqual([]);

  expect((await podwire(host, ['run', 'add', 'ref', 'web', '--keep', ...flags], call)).exitCode).toBe(1);
  expect(await web.addresses('eth0')).not.toEqual([]);
  expectSuccess(await podwire(host, ['run', 'del', 'ref', 'web'], call));
  expect(await web.addresses('eth0')).toEqual([]);
});

// Without ports, because portmap 1.1.1 fails its own CHECK when it has any.
test('check sees what has changed', async () => {
  expectSuccess(await podwire(host, ['run', 'add', 'ref', 'web'], call));
  const check = () => podwire(host, ['run', 'check', 'ref', 'web'], call);
  expect(expectSuccess(await check())).toBe(
    'checked eth0 in /run/netns/web on ref: it is as its result says\n',
  );
  await web.exec(['ip', 'addr', 'flush', 'dev', 'eth0']);
  const broken = await check();
  expect(broken).toMatchObject({ exitCode: 1, stdout: '' });
  expect(broken.stderr).toContain('from bridge (plugin 1 of 2 of network "ref", CHECK)');
});

test('a second add fails and leaves the first working', async () => {
  expectSuccess(await podwire(host, ['run', 'add', 'ref', 'web'], call));
  expect((await podwire(host, ['run', 'add', 'ref', 'web'], call)).exitCode).toBe(1);
  expect((await web.addresses('eth0')).map(({ local }) => local)).toContain('10.1.0.2');
  expectSuccess(await podwire(host, ['run', 'check', 'ref', 'web'], call));
});

test('loopback, in a configuration of before lists', async () => {
  writeNetwork(host, { cniVersion: '0.4.0', name: 'lo', type: 'loopback' }, '99-loopback.conf');
  const run = (verb: string) => podwire(host, ['run', verb, 'lo', 'web', '--ifname', 'lo', '--json'], call);
  const result = JSON.parse(expectSuccess(await run('add')));
  expect(result.ips.map(({ address }: { address: string }) => address)).toContain('127.0.0.1/8');
  expectSuccess(await run('check'));
  expect((await web.addresses('lo')).map(({ local }) => local)).toContain('127.0.0.1');
  expectSuccess(await run('del'));
  expect(await web.exec(['ip', '-o', 'link', 'show', 'lo'])).toContain('state DOWN');
  expect(hostHas(host, `${cacheDir}/results`)).toBe(true);
});
