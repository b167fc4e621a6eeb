import { existsSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { expectPlugins, podwireBin, referenceBin } from '../support/binaries.ts';
import { newContainerId, type PrintedResult } from '../support/call-plugin.ts';
import { addChain, type ChainCall, checkChain, delChain } from '../support/chain.ts';
import { lackingKernel, requireTool, skipFor } from '../support/needs.ts';
import { systemPath } from '../support/process.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { ping } from '../support/traffic.ts';
import { buildVersion, podwire, podwireJson } from './install-host.ts';

interface UninstallOutput {
  removed: string[];
  restored: string[];
  network: string[];
  pods: { network: string; containerId: string }[];
  warnings: string[];
}

const pluginDir = '/usr/lib/cni';
const inPluginDir = ['--bin-dir', pluginDir];
const ipam = { type: 'host-local', ranges: [[{ subnet: '10.88.0.0/24' }]], routes: [{ dst: '0.0.0.0/0' }] };
const bridge = { type: 'bridge', bridge: 'cni0', isGateway: true, ipMasq: true, ipam };
const shared = { cniVersion: '1.0.0', name: 'node', plugins: [{ ...bridge, ipMasqBackend: 'iptables' }] };

interface Attached {
  chain: ChainCall;
  result: PrintedResult;
}

let host: TestHost;
let newer: ReturnType<typeof buildVersion>;
beforeAll(() => {
  expectPlugins(podwireBin, 'podwire', 'bridge', 'host-local');
  newer = buildVersion('99.1.0');
});
afterAll(() => newer?.remove());
beforeEach(async () => {
  host = await createHost({ name: 'install-pods' });
});
afterEach(() => host?.dispose());

const attach = async (
  name: string,
  conflist: ChainCall['conflist'],
  runtimeConfig?: object,
): Promise<Attached> => {
  const netns = host.pods.find((pod) => pod.name === name) ?? (await host.addPod(name));
  const containerId = newContainerId(name);
  const chain = {
    conflist,
    binDirs: [pluginDir],
    containerId,
    netns,
    ...(runtimeConfig && { runtimeConfig }),
  };
  return { chain, result: await addChain(host, chain) };
};
const detach = ({ chain, result }: Attached): Promise<void> => delChain(host, chain, result);
const addressOf = ({ result }: Attached): string => result.ips?.[0]?.address.replace(/\/.*/, '') ?? '';
const expectConnected = async (one: Attached, other: Attached): Promise<void> => {
  if (typeof one.chain.netns === 'string') throw new Error('no pod');
  expect(await ping(one.chain.netns, addressOf(other))).toBe(true);
};
/** What a plugin of the directory says of itself. */
const about = async (plugin: string): Promise<string> =>
  (await host.attempt([`${pluginDir}/${plugin}`], { env: {} })).stderr;
/** Everything of ours in the kernel and in files, whoever may share it; empty when the node is clean. */
const traces = (): Promise<string> =>
  host.shell(`nft list tables | grep podwire_ || true
    for save in iptables-nft-save ip6tables-nft-save iptables-legacy-save; do
      command -v $save >/dev/null && { $save 2>/dev/null | grep CNI- || true; }
    done
    ip -o link | grep -v ': lo:' || true
    ip route; ip -6 route | grep -v ' dev lo ' || true
    ls -d /run/podwire /var/lib/podwire /var/lib/cni/networks/.podwire 2>/dev/null || true
    find /var/lib/cni/networks -name '10.*' 2>/dev/null || true`);

describe("in the place of Debian's plugins", () => {
  const reference = '/run/reference';
  beforeEach(async (context) => {
    requireTool(context, 'iptables', 'ping');
    skipFor(context, lackingKernel('iptables (nft)'));
    skipFor(context, referenceBin === pluginDir ? undefined : `the reference is in ${referenceBin}`);
    expectPlugins(referenceBin, 'bridge', 'host-local', 'dhcp');
    // The machine's own stay as they are.
    await host.shell(`cp -a ${pluginDir} ${reference}; mount --bind ${reference} ${pluginDir}`);
  });
  const fingerprint = (): Promise<string> =>
    host.shell(`cd ${pluginDir}; stat -c '%n %A %u %g %Y' *; sha256sum *`);

  test('pods of either go through takeover, upgrade and removal; the reference gets them back', async () => {
    const before = await fingerprint();
    const first = await attach('first', shared);
    const second = await attach('second', shared);
    await podwireJson(host, ['install', '--takeover', ...inPluginDir]);
    expect(await about('bridge')).toContain('podwire');
    await expectConnected(first, second);
    const ours = await attach('ours', shared);
    await expectConnected(first, ours);
    await podwireJson(host, ['upgrade'], newer.command);
    expect(await about('bridge')).toContain('podwire 99.1.0');
    await expectConnected(ours, second);
    await checkChain(host, ours.chain, ours.result);
    await detach(second);

    const refusal = await podwire(host, ['uninstall']);
    expect(refusal).toMatchObject({ exitCode: 1, stdout: '' });
    expect(refusal.stderr).toMatch(/error 103: podwire cannot be removed: 1 attachment of running pods/);
    expect(refusal.stderr).toContain(`network node, container ${ours.chain.containerId}, interface eth0`);
    expect(refusal.stderr).not.toContain(first.chain.containerId);
    await expectConnected(first, ours);
    await detach(ours);

    await podwireJson<UninstallOutput>(host, ['uninstall'], `${pluginDir}/podwire`);
    expect(await fingerprint()).toBe(before);
    // A pod of the reference is not ours to break.
    const again = await attach('second', shared);
    await expectConnected(first, again);
    for (const attached of [first, again]) await detach(attached);
    expect(await host.shell('iptables-save -t nat | grep CNI- || true')).toBe('');
    expect(existsSync(host.path('/run/podwire'))).toBe(false);
    expect(existsSync(host.path('/var/lib/podwire'))).toBe(false);
  });

  test('with --force, a pod of ours goes on, and the reference deletes it', async () => {
    await podwireJson(host, ['install', '--takeover', ...inPluginDir]);
    const [one, other] = [await attach('one', shared), await attach('other', shared)];
    const report = await podwireJson<UninstallOutput>(host, ['uninstall', '--force']);
    expect(report.pods.map(({ containerId }) => containerId).toSorted()).toEqual(
      [one.chain.containerId, other.chain.containerId].toSorted(),
    );
    expect(report.network).toEqual([]);
    expect(report.warnings.join()).toContain('call "podwire uninstall" again');
    expect(await about('bridge')).not.toContain('podwire');
    await expectConnected(one, other);
    expect(await host.shell('iptables-save -t nat')).toContain(one.chain.containerId);
    await detach(one);
    await detach(other);
    // Now that they are gone, the rest goes.
    await podwireJson(host, ['uninstall', ...inPluginDir]);
    expect(await traces()).toBe('');
  });
});

describe('an overlay', () => {
  const agent = [
    ...['agent', '--registry', 'file', '--registry-file', '/run/nodes.json', '--node', 'n1'],
    ...[
      '--underlay',
      'eth0',
      '--cni-conf-dir',
      '/run/net.d',
      '--health-address',
      'off',
      '--log-level',
      'error',
    ],
  ];
  const removal = ['uninstall', '--bin-dir', '/run/plugins', '--cni-conf-dir', '/run/net.d'];
  beforeEach(async (context) => {
    skipFor(context, lackingKernel('vxlan', 'nftables'));
    const nodes = ['1', '2'].map((n) => ({
      name: `n${n}`,
      addresses: [`198.51.100.${n}`],
      podCIDRs: [`10.244.${n}.0/24`],
    }));
    await host.shell(`rmdir /run/podwire; ip link add eth0 type veth peer name eth1
      ip addr add 198.51.100.1/24 dev eth0; ip link set eth0 up; ip link set eth1 up
      echo '${JSON.stringify({ nodes })}' >/run/nodes.json`);
    await podwireJson(host, ['install', '--bin-dir', '/run/plugins']);
  });

  test('goes with VTEP, routes, NAT, state and network configuration', async () => {
    const before = await traces();
    expect(await podwire(host, [...agent, '--once'])).toMatchObject({ exitCode: 0 });
    expect(existsSync(host.path('/run/net.d/10-podwire.conflist'))).toBe(true);
    expect(await traces()).toMatch(/pwvxlan1(.|\n)*10\.244\.2\.0\/24 via/);
    const { network } = await podwireJson<UninstallOutput>(host, removal);
    expect(network).toContain('overlay with the VNI 1');
    expect(await traces()).toBe(before.replace('/var/lib/podwire\n', ''));
    expect(await host.shell('ls -A /run/net.d /run/plugins 2>/dev/null || true')).not.toMatch(
      /podwire|bridge/,
    );
  });

  test('is refused while its agent runs, and nothing is touched', async () => {
    const running = host.start([`${podwireBin}/podwire`, ...agent], {
      env: { PATH: systemPath },
      timeout: 60_000,
    });
    try {
      await expect
        .poll(() => existsSync(host.path('/run/net.d/10-podwire.conflist')), { timeout: 15_000 })
        .toBe(true);
      const before = await traces();
      const refusal = await podwire(host, removal);
      expect(refusal).toMatchObject({ exitCode: 1, stdout: '' });
      expect(refusal.stderr).toMatch(
        /error 103: the agent of the overlay with the VNI 1 is running: process \d+/,
      );
      expect(await traces()).toBe(before);
    } finally {
      running.kill('SIGTERM');
      await running.outcome;
    }
    await podwireJson(host, removal);
    expect(await host.shell('ip -o link show type vxlan')).toBe('');
  });
});

const inNft = { cniVersion: '1.0.0', name: 'nft', plugins: [chained('nftables', 'pw-nft', 'nftables')] };
const inIptables = { cniVersion: '1.0.0', name: 'ipt', plugins: [chained('iptables', 'pw-ipt', 'iptables')] };

describe('what the plugins made goes with them', () => {
  beforeEach(async (context) => {
    requireTool(context, 'nft', 'iptables', 'tc');
    skipFor(context, lackingKernel('nftables', 'iptables (nft)', 'ifb'));
    // The host has an empty one of its own.
    await host.shell(`rmdir /run/podwire; mkdir /run/plugins; mount --bind /run/plugins ${pluginDir}`);
    await podwireJson(host, ['install', ...inPluginDir]);
  });
  const runtimeConfig = (hostPort: number) => ({
    portMappings: [{ hostPort, containerPort: 80, protocol: 'tcp' }],
    bandwidth: { ingressRate: 1e7, ingressBurst: 1e6, egressRate: 1e7, egressBurst: 1e6 },
  });
  const attachBoth = async (): Promise<Attached[]> => [
    await attach('one', inNft, runtimeConfig(8081)),
    await attach('two', inIptables, runtimeConfig(8082)),
  ];

  test('tables, chains, bridges, state, after the last pod', async () => {
    expect(await traces()).toBe('/var/lib/podwire\n');
    const attached = await attachBoth();
    for (const each of attached) await detach(each);
    const left = await traces();
    for (const trace of [
      'podwire_masquerade',
      'CNI-HOSTPORT-DNAT',
      'CNI-FORWARD',
      'pw-nft',
      '/run/podwire',
    ]) {
      expect(left, 'it was there to be removed').toContain(trace);
    }
    const { network } = await podwireJson<UninstallOutput>(host, ['uninstall']);
    expect(network).toContain('bridge pw-nft');
    expect(await traces()).toBe('');
    expect(await host.shell(`ls -A ${pluginDir}`)).toBe('');
  });

  test('what a pod left that went without a DEL', async () => {
    await attachBoth();
    await host.shell('ip netns del one; ip netns del two');
    await expect.poll(() => host.shell('ip -o link show type veth'), { timeout: 5000 }).toBe('');
    expect(await traces()).toMatch(/CNI-DN-|CNI-[0-9a-f]{24}/);
    await podwireJson<UninstallOutput>(host, ['uninstall']);
    // host-local's reservations are the reference's, too: its next GC frees them, or ours after a new installation.
    expect((await traces()).split('\n').filter((line) => !line.startsWith('/var/lib/cni/networks/'))).toEqual(
      [''],
    );
  });

  test('but not with a pod', async () => {
    const attached = await attachBoth();
    const before = await traces();
    expect(await podwire(host, ['uninstall'])).toMatchObject({ exitCode: 1, stdout: '' });
    expect(await traces()).toBe(before);
    for (const each of attached) await checkChain(host, each.chain, each.result);
  });

  test('rules, bridges and chains of others stay', async () => {
    for (const each of await attachBoth()) await detach(each);
    await host.shell(`iptables -t filter -A CNI-ADMIN -s 192.0.2.1 -j DROP
      iptables -t nat -N MINE; iptables -t nat -A MINE -j RETURN
      nft add table inet mine; ip link add mine0 type bridge
      ip link add port0 type veth peer name port1; ip link set port0 master pw-nft`);
    await podwireJson(host, ['uninstall']);
    expect(await host.shell('iptables-save')).toMatch(
      /-A CNI-ADMIN -s 192.0.2.1\/32 -j DROP(.|\n)*-A MINE -j RETURN/,
    );
    expect(await host.shell('nft list tables')).toContain('table inet mine');
    const links = await host.shell('ip -o link');
    expect(links).toContain('mine0');
    expect(links, 'has a port of somebody').toContain('pw-nft');
    expect(links).not.toContain('pw-ipt');
  });
});

function chained(backend: string, name: string, firewallBackend: string) {
  const net = backend === 'nftables' ? 1 : 2;
  return {
    type: 'bridge',
    bridge: name,
    isGateway: true,
    ipMasq: true,
    ipMasqBackend: backend,
    capabilities: { portMappings: true, bandwidth: true },
    portmap: { backend },
    firewall: { backend: firewallBackend, ingressPolicy: 'same-bridge' },
    ipam: { type: 'host-local', ranges: [[{ subnet: `10.88.${net}.0/24` }]], routes: [{ dst: '0.0.0.0/0' }] },
  };
}
