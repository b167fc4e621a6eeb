import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { expectPlugins, podwireBin } from '../support/binaries.ts';
import { connectOutside, type Outside } from '../support/links.ts';
import { requireKernel, requireTool, skipFor } from '../support/needs.ts';
import { type Outcome, runProcess, systemPath } from '../support/process.ts';
import { keptBridge, leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { startServer, whoSees } from '../support/traffic.ts';
import { imageName } from './busybox-image.ts';
import { createRuntimeHost, lackingRuntime, type RuntimeHost, writeConflist } from './runtime-host.ts';
import { keptByShipped, readShipped, shippedPlugins } from './shipped.ts';

// podman's CNI mode: it sets the static address and MAC as capability arguments and runtimeConfig, keeps
// libcni's result cache, and calls DEL with the netns still there.
describe('podman with CNI', () => {
  let lacking = lackingRuntime('podman', 'conmon');
  let runtime: RuntimeHost;
  let outside: Outside;

  beforeAll(async () => {
    if (lacking !== undefined) return;
    expectPlugins(podwireBin, ...shippedPlugins);
    runtime = await createRuntimeHost(
      'podman',
      Object.fromEntries(shippedPlugins.map((plugin) => [plugin, podwireBin])),
    );
    const { host } = runtime;
    await host.shell(configure);
    lacking = await lackingCniMode();
    if (lacking !== undefined) return;
    await writeConflist(host, '10-podwire.conflist', conflist);
    expect(await podman('load', '-i', runtime.image)).toMatchObject({ exitCode: 0 });
    outside = await connectOutside(host, '198.51.100.0/24', { defaultRoute: true });
    await startServer(outside.place, 80);
  });
  afterAll(() => runtime?.dispose());
  beforeEach((context) => skipFor(context, lacking));

  const podman = (...args: string[]): Promise<Outcome> =>
    runtime.host.attempt(['podman', ...args], { env: { PATH: systemPath, HOME: '/run' } });
  const run = (name: string, options: string[], ...command: string[]): Promise<Outcome> => {
    const own = ['--name', name, '--network', 'podwire', '--cgroup-parent', runtime.cgroup];
    return podman('run', ...own, ...options, imageName, ...command);
  };
  // podman 5 has no CNI any more.
  const lackingCniMode = async (): Promise<string | undefined> => {
    const { exitCode, stdout, stderr } = await podman('info', '--format', '{{.Host.NetworkBackend}}');
    if (exitCode === 0 && stdout.trim() === 'cni') return undefined;
    const version = (await runProcess(['podman', '--version'])).stdout.trim();
    return `${version} has no CNI mode: ${(stderr || stdout).trim()}`;
  };

  test('containers get addresses, reach each other and the outside, and leave nothing', async () => {
    const before = await snapshot(runtime.host);
    expect(await run('server', ['-d'], 'httpd', '-f', '-p', '80', '-h', '/www')).toMatchObject({
      exitCode: 0,
    });
    const inspected = await podman(
      'inspect',
      'server',
      '--format',
      '{{json .NetworkSettings.Networks.podwire}}',
    );
    expect(JSON.parse(inspected.stdout)).toMatchObject({
      IPAddress: '10.73.0.2',
      IPPrefixLen: 24,
      Gateway: '10.73.0.1',
      GlobalIPv6Address: 'fd73::2',
    });
    const fetch = (address: string): string => `wget -q -O - http://${address}/cgi-bin/client; echo`;
    const addresses = ['10.73.0.2', '[fd73::2]', outside.addresses[0] ?? ''];
    const client = await run('client', ['--rm'], 'sh', '-c', addresses.map(fetch).join('; '));
    expect(client).toMatchObject({ exitCode: 0, stderr: '' });
    expect(client.stdout).toBe('[::ffff:10.73.0.3]\n[fd73::3]\n[::ffff:198.51.100.1]\n');
    expect(await podman('rm', '-f', '-t', '0', 'server')).toMatchObject({ exitCode: 0, stderr: '' });
    expect(leftovers(before, await snapshot(runtime.host), keptBridge('cni0'))).toEqual(nothing);
  });

  test.for([
    { file: '10-podwire.conflist', network: 'podwire-one' },
    { file: '20-podwire-chain.conflist', network: 'podwire-chain' },
  ])('a port published with -p on $file is reached from outside', async ({ file, network }, context) => {
    requireTool(context, 'tc', 'nft');
    requireKernel(context, 'nftables');
    const { host } = runtime;
    const before = await snapshot(host);
    // Under another name, as `podwire` is the network of the other tests.
    await writeConflist(host, '30-shipped.conflist', { ...readShipped(file, '0.4.0'), name: network });
    const options = ['--cgroup-parent', runtime.cgroup, '--network', network, '-d', '-p', '8080:80'];
    const httpd = ['httpd', '-f', '-p', '80', '-h', '/www'];
    expect(await podman('run', '--name', 'published', ...options, imageName, ...httpd)).toMatchObject({
      exitCode: 0,
    });
    const ask = () => whoSees(outside.place, outside.hostAddresses[0] ?? '', 8080);
    // podman returns when the container's process has started, which need not listen yet.
    await expect.poll(ask, { timeout: 10_000 }).toBe(outside.addresses[0]);
    expect(await podman('rm', '-f', '-t', '0', 'published')).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await ask()).toBeUndefined();
    await host.exec(['rm', '/etc/cni/net.d/30-shipped.conflist']);
    expect(leftovers(before, await snapshot(host), keptByShipped)).toEqual(nothing);
  });

  test('a requested address and MAC are given', async () => {
    const before = await snapshot(runtime.host);
    const wanted = ['--rm', '--ip', '10.73.0.77', '--mac-address', '02:42:0a:49:00:4d'];
    const { stdout, exitCode } = await run('fixed', wanted, 'ip', 'addr', 'show', 'eth0');
    expect(exitCode).toBe(0);
    expect(stdout).toContain('inet 10.73.0.77/24');
    expect(stdout).toContain('link/ether 02:42:0a:49:00:4d');
    expect(leftovers(before, await snapshot(runtime.host), keptBridge('cni0'))).toEqual(nothing);
  });

  test('a restarted container and a container of two networks', async () => {
    const { host } = runtime;
    const before = await snapshot(host);
    const second = {
      ...conflist,
      name: 'second',
      plugins: [{ ...bridge, bridge: 'cni1', ipam: ipam('10.74.0.0/24') }],
    };
    await writeConflist(host, '20-second.conflist', second);
    const created = await run('both', ['-d', '--network', 'second'], 'sleep', '1000');
    expect(created).toMatchObject({ exitCode: 0 });
    for (let restarts = 0; restarts < 2; restarts += 1) {
      const { stdout } = await podman('exec', 'both', 'ip', 'addr');
      expect(stdout).toMatch(/inet 10\.73\.0\.\d+\/24/);
      expect(stdout).toMatch(/inet 10\.74\.0\.\d+\/24/);
      expect(await podman('restart', '-t', '0', 'both')).toMatchObject({ exitCode: 0 });
    }
    expect(await podman('rm', '-f', '-t', '0', 'both')).toMatchObject({ exitCode: 0, stderr: '' });
    await host.exec(['rm', '/etc/cni/net.d/20-second.conflist']);
    const kept = [...keptBridge('cni0'), ...keptBridge('cni1')];
    expect(leftovers(before, await snapshot(host), kept)).toEqual(nothing);
  });
});

const ipam = (...subnets: string[]): object => ({
  type: 'host-local',
  ranges: subnets.map((subnet) => [{ subnet }]),
  routes: subnets.map((subnet) => ({ dst: subnet.includes(':') ? '::/0' : '0.0.0.0/0' })),
});

const bridge = {
  type: 'bridge',
  bridge: 'cni0',
  isGateway: true,
  ipMasq: true,
  hairpinMode: true,
  capabilities: { ips: true, mac: true },
  ipam: ipam('10.73.0.0/24', 'fd73::/64'),
};

const conflist = { cniVersion: '0.4.0', name: 'podwire', plugins: [bridge] };

const configure = `
cat >/etc/containers/containers.conf <<'E'
[network]
network_backend = "cni"
cni_plugin_dirs = ["/opt/cni/bin"]
network_config_dir = "/etc/cni/net.d"
default_network = "podwire"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
E
cat >/etc/containers/storage.conf <<'E'
[storage]
driver = "vfs"
graphroot = "/run/podman-root"
runroot = "/run/podman-run"
E
`;
