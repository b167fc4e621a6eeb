import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { expectPlugins, podwireBin, referenceBin } from '../support/binaries.ts';
import { callPlugin, newContainerId } from '../support/call-plugin.ts';
import { connectOutside, type Outside } from '../support/links.ts';
import { lackingTools, requireTool, skipFor } from '../support/needs.ts';
import type { Pod } from '../support/pod.ts';
import { systemPath } from '../support/process.ts';
import { keptBridge, keptPortmapChains, leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { ping, startServer, whoSees } from '../support/traffic.ts';
import {
  buildLibcni,
  callLibcni,
  expectReply,
  type LibcniRequest,
  lackingLibcni,
  libcniVersions,
} from './libcni.ts';
import { leftByFailedAdd } from './reference-leaves.ts';

const lacking = lackingLibcni() ?? lackingTools('busybox');

const versions = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0'];
const hasCheck = (version: string): boolean => version === '0.4.0' || version.startsWith('1.');

const bridge = {
  type: 'bridge',
  bridge: 'cni0',
  isGateway: true,
  ipMasq: true,
  hairpinMode: true,
  ipam: {
    type: 'host-local',
    ranges: [[{ subnet: '10.75.0.0/24' }], [{ subnet: 'fd75::/64' }]],
    routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
  },
};
const portmap = { type: 'portmap', capabilities: { portMappings: true }, snat: true };

describe('libcni', () => {
  let program: string;
  let known: string[];
  let host: TestHost;
  let pod: Pod;
  let outside: Outside;

  beforeAll(async () => {
    if (lacking !== undefined) return;
    expectPlugins(podwireBin, 'bridge', 'host-local', 'loopback', 'portmap');
    program = await buildLibcni();
    known = await libcniVersions(program);
  });
  beforeEach(async (context) => {
    skipFor(context, lacking);
    host = await createHost({ name: 'libcni' });
    outside = await connectOutside(host, '198.51.100.0/24');
    pod = await host.addPod('pod');
    await startServer(pod, 80);
  });
  afterEach(() => host?.dispose());

  const request = (cniVersion: string, plugins: object[]): LibcniRequest => ({
    conflist: { cniVersion, name: `net-${cniVersion}`, plugins },
    binDirs: [podwireBin],
    containerID: newContainerId(),
    netNS: pod.netns,
  });

  test.for(versions)('runs a chain in version %s and understands its results', async (version) => {
    const before = await snapshot(host);
    const chain: LibcniRequest = {
      ...request(version, [bridge, portmap]),
      capabilityArgs: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
    };
    expect(await callLibcni(host, program, 'validate', chain)).toMatchObject({
      exitCode: 0,
      capabilities: ['portMappings'],
    });
    const added = expectReply(await callLibcni(host, program, 'add', chain));
    expect(added.version).toBe(version);
    expect(added.result?.cniVersion).toBe(version);
    const addresses = added.newest?.ips?.map((ip) => ip.address) ?? [];
    expect(addresses).toEqual([
      expect.stringMatching(/^10\.75\.0\.\d+\/24$/),
      expect.stringMatching(/^fd75::\w+\/64$/),
    ]);
    expect(added.newest).toMatchObject({
      ips: [{ gateway: '10.75.0.1' }, { gateway: 'fd75::1' }],
      routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
    });
    if (!['0.1.0', '0.2.0'].includes(version)) {
      const interfaces = added.newest?.interfaces ?? [];
      const inside = interfaces.filter(({ sandbox }) => sandbox === pod.netns);
      expect(inside.map(({ name }) => name)).toEqual(['eth0']);
      expect(interfaces[added.newest?.ips?.[0]?.interface ?? -1]?.name).toBe('eth0');
    }
    expect(await ping(pod, '10.75.0.1')).toBe(true);
    expect(await ping(pod, 'fd75::1')).toBe(true);
    expect(await whoSees(outside.place, outside.hostAddresses[0] ?? '', 8080)).toBeDefined();

    const cached = await callLibcni(host, program, 'cached', chain);
    expect(cached.result).toEqual(added.result);
    expect(await callLibcni(host, program, 'del', chain)).toEqual({ exitCode: 0 });
    expect(await callLibcni(host, program, 'del', chain)).toEqual({ exitCode: 0 });
    expect(leftovers(before, await snapshot(host), [...keptBridge('cni0'), ...keptPortmapChains])).toEqual(
      nothing,
    );
  });

  // Without portmap: the reference's looks for the IPv4 rules among the IPv6 ones.
  test.for(versions)('CHECK in version %s', async (version) => {
    const single = request(version, [bridge]);
    expectReply(await callLibcni(host, program, 'add', single));
    const checked = await callLibcni(host, program, 'check', single);
    if (hasCheck(version)) {
      expectReply(checked);
      await pod.exec(['ip', 'addr', 'flush', 'dev', 'eth0', 'scope', 'global']);
      const failed = await callLibcni(host, program, 'check', single);
      expect(failed.exitCode).toBe(1);
      expect(failed.code).toBeGreaterThan(0);
    } else {
      expect(checked.msg).toContain('does not support the CHECK command');
    }
    expectReply(await callLibcni(host, program, 'del', single));
  });

  // libcni 1.1 (Debian 12) knows no 1.1.0: the plugin has done its work when the library refuses the
  // result, and the runtime's DEL then comes without one.
  test('version 1.1.0, which the library or the plugins may not know', async () => {
    const before = await snapshot(host);
    const call = { binDir: podwireBin, plugin: 'bridge', config: { cniVersion: '1.0.0' } };
    const supported =
      (await callPlugin(host, { ...call, command: 'VERSION' })).result?.supportedVersions ?? [];
    const single = request('1.1.0', [bridge]);
    const added = await callLibcni(host, program, 'add', single);
    if (!supported.includes('1.1.0')) {
      expect(added).toMatchObject({ exitCode: 1, code: 1 });
    } else if (known.includes('1.1.0')) {
      expect(added).toMatchObject({ exitCode: 0, version: '1.1.0' });
    } else {
      expect(added).toMatchObject({ exitCode: 1 });
      expect(added.msg).toContain('unsupported CNI result version "1.1.0"');
    }
    const deleted = await callLibcni(host, program, 'del', single);
    expect(deleted).toMatchObject(supported.includes('1.1.0') ? { exitCode: 0 } : { exitCode: 1, code: 1 });
    expect(leftovers(before, await snapshot(host), keptBridge('cni0'))).toEqual(nothing);
  });

  test('reports a plugin error with its code and message', async () => {
    const before = await snapshot(host);
    const wrong = request('1.0.0', [
      { ...bridge, ipam: { type: 'host-local', ranges: [[{ subnet: 'no' }]] } },
    ]);
    const added = await callLibcni(host, program, 'add', wrong);
    expect(added.exitCode).toBe(1);
    expect(added.code).toBeGreaterThan(0);
    expect(added.msg).toMatch(/subnet|CIDR/);
    expect(leftovers(before, await snapshot(host), [...keptBridge('cni0'), ...leftByFailedAdd])).toEqual(
      nothing,
    );
  });

  test('a DEL after the netns is gone leaves nothing', async () => {
    const before = await snapshot(host);
    const gone = await host.addPod('gone');
    const single = {
      ...request('1.0.0', [{ ...bridge, ipMasq: podwireBin !== referenceBin }]),
      netNS: gone.netns,
    };
    expectReply(await callLibcni(host, program, 'add', single));
    await gone.remove();
    expect(await callLibcni(host, program, 'del', single)).toEqual({ exitCode: 0 });
    // The reference leaves the veth to the kernel, which removes it some time after the netns.
    await expect
      .poll(async () => leftovers(before, await snapshot(host), keptBridge('cni0')), { timeout: 5000 })
      .toEqual(nothing);
  });

  test('cnitool adds, checks and deletes', async (context) => {
    requireTool(context, 'cnitool');
    const before = await snapshot(host);
    await host.exec(['mkdir', '-p', '/run/net.d']);
    const conflist = { cniVersion: '1.0.0', name: 'tool', plugins: [bridge] };
    await host.exec(['tee', '/run/net.d/10-tool.conflist'], { stdin: JSON.stringify(conflist) });
    const env = {
      PATH: `${systemPath}:${process.env.PATH}`,
      NETCONFPATH: '/run/net.d',
      CNI_PATH: podwireBin,
    };
    for (const verb of ['add', 'check', 'del'])
      await host.exec(['cnitool', verb, 'tool', pod.netns], { env });
    expect(leftovers(before, await snapshot(host), keptBridge('cni0'))).toEqual(nothing);
  });
});
