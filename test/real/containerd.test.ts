import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { expectPlugins, podwireBin } from '../support/binaries.ts';
import { connectOutside, type Outside } from '../support/links.ts';
import { lackingTools, requireKernel, skipFor } from '../support/needs.ts';
import { keptBridge, leftovers, nothing, type Snapshot, snapshot } from '../support/snapshot.ts';
import type { TestHost } from '../support/test-host.ts';
import { startServer, whoSees } from '../support/traffic.ts';
import { type Containerd, startContainerd } from './containerd.ts';
import { buildLibcni, callLibcni, lackingLibcni } from './libcni.ts';
import { leftByEmptyNetns } from './reference-leaves.ts';
import { createRuntimeHost, lackingRuntime, type RuntimeHost, writeConflist } from './runtime-host.ts';
import { keptByShipped, readShipped, shippedAddresses, shippedPlugins } from './shipped.ts';

const lacking = lackingRuntime('containerd', 'ctr', 'containerd-shim-runc-v2');

const networks = [
  {
    type: 'bridge',
    keys: { bridge: 'cni0', isGateway: true, ipMasq: true },
    subnet: '10.71.0.0/24',
    first: '10.71.0.2',
    second: '10.71.0.3',
  },
  { type: 'ptp', keys: { ipMasq: true }, subnet: '10.72.0.0/24', first: '10.72.0.2', second: '10.72.0.3' },
];

// What the container's netns held goes some time after its last process.
const expectNothingLeft = (host: TestHost, before: Snapshot): Promise<void> =>
  expect
    .poll(async () => leftovers(before, await snapshot(host), [...keptBridge('cni0'), ...leftByEmptyNetns]), {
      timeout: 5000,
    })
    .toEqual(nothing);

describe.each(networks)('containerd with $type', ({ type, keys, subnet, first, second }) => {
  let runtime: RuntimeHost;
  let containerd: Containerd;
  let outside: Outside;

  beforeAll(async () => {
    if (lacking !== undefined) return;
    expectPlugins(podwireBin, type, 'host-local', 'loopback');
    runtime = await createRuntimeHost('containerd', {
      [type]: podwireBin,
      'host-local': podwireBin,
      loopback: podwireBin,
    });
    const ipam = { type: 'host-local', ranges: [[{ subnet }]], routes: [{ dst: '0.0.0.0/0' }] };
    await writeConflist(runtime.host, '10-net.conflist', {
      cniVersion: '0.4.0',
      name: 'net',
      plugins: [{ type, ...keys, ipam }],
    });
    outside = await connectOutside(runtime.host, '198.51.100.0/24');
    await startServer(outside.place, 80);
    containerd = await startContainerd(runtime);
  });
  afterAll(() => runtime?.dispose());
  beforeEach((context) => skipFor(context, lacking));

  test('containers get addresses, reach each other and the outside, and leave nothing', async () => {
    const { host } = runtime;
    const before = await snapshot(host);
    const httpd = ['httpd', '-f', '-p', '80', '-h', '/www'];
    const server = await containerd.start('server', httpd, new RegExp(`inet ${first}/`));
    const fetch = (address: string): string => `wget -q -O - http://${address}/cgi-bin/client; echo`;
    const client = await containerd.run('client', [
      'sh',
      '-c',
      `ip addr show eth0; ${fetch(first)}; ${fetch(outside.addresses[0] ?? '')}`,
    ]);
    expect(client).toMatchObject({ exitCode: 0, stderr: '' });
    expect(client.stdout).toContain(`inet ${second}/`);
    // What the servers saw: the client's own address inside, the host's outside.
    expect(client.stdout).toMatch(new RegExp(`:${second.replaceAll('.', '\\.')}\\]?\n`));
    expect(client.stdout).toMatch(/:198\.51\.100\.1\]?\n/);
    expect(await whoSees(host, first, 80)).toBeDefined();

    await containerd.kill('server');
    expect((await server.outcome).stderr).toBe('');
    await expectNothingLeft(host, before);
  });

  test('ten containers at once get ten addresses and leave nothing', async () => {
    const before = await snapshot(runtime.host);
    const ids = Array.from({ length: 10 }, (_, index) => `many${index}`);
    const show = ['sh', '-c', 'ip -4 addr show eth0; sleep 1'];
    const outcomes = await Promise.all(ids.map((id) => containerd.run(id, show)));
    expect(outcomes.map(({ exitCode, stderr }) => [exitCode, stderr])).toEqual(ids.map(() => [0, '']));
    const addresses = outcomes.map(({ stdout }) => /inet (\S+)\//.exec(stdout)?.[1]);
    expect(addresses.every((address) => address !== undefined)).toBe(true);
    expect(new Set(addresses).size).toBe(ids.length);
    await expectNothingLeft(runtime.host, before);
  });

  test('a failing ADD fails the container and leaves nothing', async () => {
    const { host } = runtime;
    const before = await snapshot(host);
    const tiny = { type: 'host-local', ranges: [[{ subnet, rangeStart: first, rangeEnd: first }]] };
    const conflist = { cniVersion: '0.4.0', name: 'tiny', plugins: [{ type, ...keys, ipam: tiny }] };
    await writeConflist(host, '05-tiny.conflist', conflist);
    const holder = await containerd.start('holder', ['sleep', '1000'], new RegExp(`inet ${first}/`));
    const refused = await containerd.run('refused', ['true']);
    expect(refused.exitCode).not.toBe(0);
    expect(refused.stderr).toContain(first);
    await containerd.kill('holder');
    await holder.outcome;
    await host.exec(['rm', '/etc/cni/net.d/05-tiny.conflist']);
    await host.attempt(['ctr', 'task', 'delete', '--force', 'refused']);
    await host.attempt(['ctr', 'container', 'delete', 'refused']);
    await expectNothingLeft(host, before);
  });
});

// `ctr` has no option for a port: a list's own `runtimeConfig`, which libcni passes on, stands for it.
describe('containerd with 20-podwire-chain.conflist', () => {
  const lackingChain = lacking ?? lackingTools('tc', 'nft') ?? lackingLibcni();
  let runtime: RuntimeHost;

  beforeAll(async () => {
    if (lackingChain !== undefined) return;
    const plugins = [...shippedPlugins, 'loopback'];
    expectPlugins(podwireBin, ...plugins);
    runtime = await createRuntimeHost(
      'containerd',
      Object.fromEntries(plugins.map((plugin) => [plugin, podwireBin])),
    );
  });
  afterAll(() => runtime?.dispose());

  test('a published port is reached from outside, CHECK agrees, and nothing is left', async (context) => {
    skipFor(context, lackingChain);
    requireKernel(context, 'nftables', 'ifb');
    const { host } = runtime;
    const shipped = readShipped('20-podwire-chain.conflist', '1.0.0');
    const runtimeConfig = {
      portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }],
      bandwidth: { ingressRate: 50e6, ingressBurst: 8e6, egressRate: 50e6, egressBurst: 8e6 },
    };
    const plugins = shipped.plugins.map((plugin) =>
      plugin.capabilities === undefined ? plugin : { ...plugin, runtimeConfig },
    );
    await writeConflist(host, '10-chain.conflist', { ...shipped, plugins });
    const outside = await connectOutside(host, '198.51.100.0/24', { defaultRoute: true });
    const containerd = await startContainerd(runtime);
    const before = await snapshot(host);
    const [first = ''] = shippedAddresses;
    const httpd = ['httpd', '-f', '-p', '80', '-h', '/www'];
    const server = await containerd.start('server', httpd, new RegExp(`inet ${first}/`));
    const ask = () => whoSees(outside.place, outside.hostAddresses[0] ?? '', 8080);
    // The address is there before the rest of the chain, and the server runs only after it.
    await expect.poll(ask, { timeout: 10_000 }).toBe(outside.addresses[0]);
    expect(await host.exec(['tc', 'qdisc'])).toMatch(/qdisc tbf .* rate 50Mbit/);

    // containerd never calls CHECK; another user of libcni can, with what containerd's left in the cache.
    const pid = /^server\s+(\d+)/m.exec(await host.exec(['ctr', 'task', 'list']))?.[1];
    const checked = await callLibcni(host, await buildLibcni(), 'check', {
      conflist: { ...shipped, plugins },
      binDirs: [podwireBin],
      containerID: 'default-server',
      netNS: `/proc/${pid}/ns/net`,
    });
    expect(checked).toEqual({ exitCode: 0 });

    await containerd.kill('server');
    expect((await server.outcome).stderr).toBe('');
    expect(await ask()).toBeUndefined();
    await expect
      .poll(async () => leftovers(before, await snapshot(host), keptByShipped), { timeout: 5000 })
      .toEqual(nothing);
  });
});
