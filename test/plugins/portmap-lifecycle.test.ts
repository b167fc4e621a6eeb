import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { breakTool, brokenEnv, mendTools } from '../faults/broken-tools.ts';
import { podwireBin } from '../support/binaries.ts';
import { callPlugin, startPlugin } from '../support/call-plugin.ts';
import { requireKernel, requireTool } from '../support/needs.ts';
import { keptPortmapChains, leftovers, nothing, type Snapshot, snapshot } from '../support/snapshot.ts';
import { startServer, whoSees } from '../support/traffic.ts';
import { askUdp, startUdpServer } from '../support/udp.ts';
import { allVersions } from './attachment.ts';
import { createPortmapHost, type PortMapping, type PortmapHost, type Published } from './portmap-host.ts';

const ports: PortMapping[] = [
  { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
  { hostPort: 8053, containerPort: 53, protocol: 'udp' },
  { hostPort: 8081, containerPort: 80, hostIP: '198.51.100.1' },
];

describe.for(['nftables', 'iptables'] as const)('a pod’s host ports by %s', (backend) => {
  let host: PortmapHost;
  let host4: string;
  let pod: Published;
  /** With the pod attached to its bridge, before it gets its ports. */
  let before: Snapshot;

  beforeEach(async (context) => {
    requireTool(context, 'busybox', 'nft', 'iptables');
    requireKernel(context, 'nftables', 'iptables (nft)');
    host = await createPortmapHost();
    host4 = host.outside.hostAddresses[0] ?? '';
    pod = await host.publish('pod', [], { portmap: { backend } });
    pod.chain.runtimeConfig = { portMappings: ports };
    before = await snapshot(host.host);
  });
  afterEach(() => host?.dispose());

  const nothingLeft = async (): Promise<void> => {
    const left = leftovers(before, await snapshot(host.host), keptPortmapChains);
    expect(left).toEqual(nothing);
  };
  const done = async (command: string, extra: object = {}, chain = pod.chain): Promise<void> => {
    const outcome = await host.portmap(command, chain, pod.result, extra);
    expect(outcome.error).toBeUndefined();
    expect(outcome.exitCode).toBe(0);
  };
  const finding = async (): Promise<string> => {
    const { error } = await host.portmap('CHECK', pod.chain, pod.result);
    expect(error?.code).toBe(105);
    return error?.msg ?? '';
  };

  test('ADD passes the result on, DEL takes all away, and again', async () => {
    expect((await host.portmap('ADD', pod.chain, pod.result)).result).toEqual(pod.result);
    await done('CHECK');
    expect((await host.portmap('ADD', pod.chain, pod.result)).result).toEqual(pod.result);
    await done('CHECK');
    await done('DEL');
    await nothingLeft();
    await done('DEL');
    expect(await finding()).toContain('missing');
  });

  test.for([
    { name: 'without prevResult', prevResult: undefined },
    { name: 'without prevResult and port mappings', prevResult: undefined, runtimeConfig: {} },
    { name: 'with port mappings that make no sense', runtimeConfig: { portMappings: [{ hostPort: 'x' }] } },
    {
      name: 'with another backend in the configuration',
      backend: backend === 'nftables' ? 'iptables' : 'nftables',
    },
  ])('DEL $name', async ({ name, ...extra }) => {
    expect(name).toBeTruthy();
    await done('ADD');
    await done('DEL', extra);
    await nothingLeft();
  });

  test('DEL when the namespace, the network and our files are gone', async () => {
    await done('ADD');
    await host.host.shell('rm -rf /run/podwire/portmap; ip link del cni85');
    await pod.pod.remove();
    await done('DEL', { prevResult: undefined });
    expect(await host.host.exec(['nft', 'list', 'ruleset'])).not.toMatch(/CNI-DN|tcp \. 8080/);
    expect((await host.host.attempt(['sh', '-c', 'ls /run/podwire/ports'])).stdout).toBe('');
  });

  test('GC takes what is not valid, of its own network', async () => {
    await done('ADD');
    const config = { cniVersion: '1.1.0', name: 'ports', type: 'portmap', backend };
    const collect = async (name: string, containerIDs: string[]): Promise<void> => {
      const attachments = containerIDs.map((containerID) => ({ containerID, ifname: 'eth0' }));
      const outcome = await callPlugin(host.host, {
        binDir: podwireBin,
        plugin: 'portmap',
        command: 'GC',
        config: { ...config, name, 'cni.dev/valid-attachments': attachments },
      });
      expect(outcome.error).toBeUndefined();
    };
    await collect('ports', [pod.chain.containerId, 'other']);
    await collect('elsewhere', []);
    await done('CHECK');
    await collect('ports', ['other']);
    await nothingLeft();
    await done('ADD');
    await host.host.exec(['rm', '-rf', '/run/podwire/portmap']);
    await collect('ports', []);
    await nothingLeft();
    expect(await host.host.exec(['nft', 'list', 'ruleset'])).not.toMatch(/chain (near|masq|own)-/);
  });

  test('CHECK sees what a flush took, and a repeated ADD brings it back', async () => {
    await startServer(pod.pod, 80);
    await done('ADD');
    const disturbances =
      backend === 'nftables'
        ? [
            'flush ruleset',
            'delete element inet podwire_portmap any4 { tcp . 8080 }',
            'delete element inet podwire_portmap pre_any4 { tcp . 8080 }',
            'delete element inet podwire_portmap post4 { 10.85.0.2 }',
            'flush chain inet podwire_portmap hostports4',
            'delete element inet podwire_portmap at4 { 198.51.100.1 . tcp . 8081 }; add element inet podwire_portmap at4 { 198.51.100.1 . tcp . 8081 : 10.85.0.9 . 80 }',
          ].map((command) => `nft '${command}'`)
        : [
            'iptables -t nat -F',
            'iptables -t nat -F PREROUTING',
            'iptables -t nat -F CNI-HOSTPORT-DNAT',
            'iptables -t nat -D $(iptables-save -t nat | sed -n "s/^-A \\(CNI-DN.*SETMARK\\)$/\\1/p" | head -1)',
            'iptables -t nat -F CNI-HOSTPORT-SETMARK',
            'ip6tables -t nat -F CNI-HOSTPORT-MASQ',
          ];
    for (const disturbance of disturbances) {
      await done('CHECK');
      await host.host.shell(disturbance);
      expect(await finding(), disturbance).toMatch(/missing|other rules|belongs to|another value/);
      await done('ADD');
      expect(await whoSees(host.outside.place, host4, 8080)).toBeDefined();
    }
    await host.host.shell('echo 0 >/proc/sys/net/ipv4/conf/cni85/route_localnet');
    expect(await finding()).toContain('route_localnet of "cni85" is off');
    await done('ADD');
    await done('CHECK');
  });

  test('UDP follows the port from pod to pod, though the client keeps its own port', async () => {
    const heir = await host.publish('heir', [], { portmap: { backend } });
    heir.chain.runtimeConfig = pod.chain.runtimeConfig ?? {};
    await startUdpServer(pod.pod, 53, 'first');
    await startUdpServer(heir.pod, 53, 'second');
    const ask = (): Promise<string | undefined> => askUdp(host.outside.place, host4, 8053, 5555);
    // A flow that was there before the port is one to the host itself.
    expect(await ask()).toBeUndefined();
    await done('ADD');
    expect(await ask()).toBe('first');
    await done('DEL');
    expect(await ask()).toBeUndefined();
    await done('ADD', { prevResult: heir.result }, heir.chain);
    expect(await ask()).toBe('second');
  });

  test('flows of others to the same port elsewhere are not forgotten', async () => {
    await startUdpServer(host.outside.place, 8053, 'elsewhere');
    await askUdp(pod.pod, host.outside.addresses[0] ?? '', 8053, 6666);
    const flows = (): Promise<string> => host.host.exec(['cat', '/proc/net/nf_conntrack']);
    expect(await flows()).toContain('sport=6666');
    await done('ADD');
    await done('DEL');
    expect(await flows()).toContain('sport=6666');
  });

  test('an ADD that fails leaves nothing', async () => {
    const tool = backend === 'nftables' ? 'nft' : 'iptables-nft-restore';
    for (const name of [tool, 'iptables-restore'])
      await breakTool(host.host, name, '*', 'echo broken >&2; exit 1');
    const chain = { ...pod.chain, binDirs: [podwireBin] };
    const config = {
      ...pod.chain.conflist.plugins[1],
      runtimeConfig: chain.runtimeConfig,
      prevResult: pod.result,
    };
    const { error } = await callPlugin(host.host, {
      binDir: podwireBin,
      plugin: 'portmap',
      command: 'ADD',
      containerId: chain.containerId,
      netns: pod.pod,
      config: { cniVersion: '1.0.0', name: 'ports', ...config },
      env: brokenEnv,
    });
    expect(error?.code).toBe(100);
    await mendTools(host.host);
    await nothingLeft();
  });

  test('a signal at any moment of ADD: undone, or complete', async () => {
    const config = {
      ...pod.chain.conflist.plugins[1],
      runtimeConfig: pod.chain.runtimeConfig,
      prevResult: pod.result,
    };
    for (let round = 0; round < 10; round += 1) {
      const running = startPlugin(host.host, {
        binDir: podwireBin,
        plugin: 'portmap',
        command: 'ADD',
        containerId: pod.chain.containerId,
        netns: pod.pod,
        config: { cniVersion: '1.0.0', name: 'ports', ...config },
      });
      await new Promise((resolve) => setTimeout(resolve, round * 2));
      running.kill('SIGTERM');
      const { exitCode, error, signal } = await running.outcome;
      if (exitCode === 0) await done('CHECK');
      else if (signal === undefined) expect(error?.code).toBe(106);
      if (exitCode === 0) await done('DEL');
      await nothingLeft();
    }
  });
});

describe('the protocol', () => {
  let host: PortmapHost;
  beforeEach(async (context) => {
    requireKernel(context, 'nftables');
    host = await createPortmapHost();
  });
  afterEach(() => host?.dispose());

  test.for(allVersions)('version %s: the result comes back as it went in', async (cniVersion) => {
    const { chain, result } = await host.publish('pod', [], { cniVersion });
    const withPorts = { ...chain, runtimeConfig: { portMappings: ports } };
    expect((await host.portmap('ADD', withPorts, result)).result).toEqual(result);
    expect((await host.portmap('DEL', withPorts, result)).exitCode).toBe(0);
  });

  test('without port mappings nothing is made', async () => {
    const { chain, result } = await host.publish('pod', []);
    const before = await snapshot(host.host);
    for (const portMappings of [[], [{ hostPort: 0, containerPort: 80 }]]) {
      const call = { ...chain, runtimeConfig: { portMappings } };
      expect((await host.portmap('ADD', call, result)).result).toEqual(result);
      expect((await host.portmap('CHECK', call, result)).exitCode).toBe(0);
      expect((await host.portmap('DEL', call, result)).exitCode).toBe(0);
    }
    expect(leftovers(before, await snapshot(host.host))).toEqual(nothing);
  });

  test('ADD needs prevResult', async () => {
    const chain = await host.chain('pod', ports);
    const { error } = await host.portmap('ADD', chain);
    expect(error).toMatchObject({ code: 7 });
    expect(error?.msg).toContain('must be called as a chained plugin');
  });

  test.for([
    [{ markMasqBit: 32 }, 7],
    [{ markMasqBit: 1, externalSetMarkChain: 'X' }, 7],
    [{ backend: 'pf' }, 2],
    [{ backend: 'iptables', conditionsV4: ['ip saddr 10.0.0.1'] }, 7],
    [{ conditionsV4: ['ip saddr 10.0.0.1; flush ruleset'] }, 7],
    [{ runtimeConfig: { portMappings: [ports[0], ports[0]] } }, 7],
    [{ runtimeConfig: { portMappings: [{ hostPort: 70_000, containerPort: 80 }] } }, 7],
  ] as const)('%j is error %i', async ([keys, code]) => {
    const { chain, result } = await host.publish('pod', []);
    const { error } = await host.portmap('ADD', chain, result, keys);
    expect(error?.code).toBe(code);
    expect((await host.portmap('DEL', chain, result, keys)).exitCode).toBe(0);
  });

  test('STATUS says what is missing', async () => {
    const status = (keys: object) =>
      callPlugin(host.host, {
        binDir: podwireBin,
        plugin: 'portmap',
        command: 'STATUS',
        config: { cniVersion: '1.1.0', name: 'ports', type: 'portmap', ...keys },
      });
    expect((await status({})).exitCode).toBe(0);
    await host.host.shell('mount --bind /dev/null "$(command -v nft)"');
    expect((await status({ backend: 'nftables' })).error).toMatchObject({
      code: 50,
      msg: 'portmap cannot work: nft is not installed',
    });
  });
});
