import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { expectPlugins, podwireBin, referenceBin } from '../support/binaries.ts';
import { callPlugin, expectDone, startPlugin } from '../support/call-plugin.ts';
import { addChain, type ChainCall, checkChain, delChain } from '../support/chain.ts';
import { connectOutside } from '../support/links.ts';
import { requireKernel, requireTool } from '../support/needs.ts';
import { keptOverlay, keptPortmapChains, leftovers, nothing, snapshot } from '../support/snapshot.ts';
import type { TestHost } from '../support/test-host.ts';
import { ping, startServer, whoSees } from '../support/traffic.ts';
import { waitUntil } from '../support/wait-until.ts';
import { Attachment, type NetworkConfig } from './attachment.ts';
import { linkNames, linkOf, reservations, routesOf } from './kernel-state.ts';
import { createNodes, type Nodes } from './overlay-nodes.ts';

let nodes: Nodes;
let host: TestHost;
beforeEach(async (context) => {
  requireKernel(context, 'vxlan', 'ipv6', 'nftables');
  requireTool(context, 'ping', 'busybox');
  expectPlugins(podwireBin, 'vxlan', 'host-local', 'podwire');
  nodes = await createNodes(2);
  host = nodes.host(1);
});
afterEach(() => nodes?.[Symbol.asyncDispose]());

const status = (config: NetworkConfig) =>
  callPlugin(host, { binDir: podwireBin, plugin: 'vxlan', command: 'STATUS', config });

describe('an overlay of one pod on each node', () => {
  test('is made by the first ADD, left as it is by the next ones, and stays after DEL', async () => {
    const before = await snapshot(host);
    const first = await nodes.attach(1);
    const made = await snapshot(host);
    expect(await linkOf(host, 'pwvxlan1')).toMatchObject({
      mtu: 1450,
      flags: expect.arrayContaining(['UP']),
    });
    const second = await nodes.attach(1);
    await second.attachment.del();
    await second.pod.remove();
    expect(leftovers(made, await snapshot(host))).toEqual(nothing);
    await first.attachment.del();
    await first.pod.remove();
    expect(leftovers(before, await snapshot(host), keptOverlay)).toEqual(nothing);
    expect(await linkOf(host, 'pwvxlan1')).toBeTruthy();
  });

  test("gives pods addresses of the node's own prefixes, the overlay's MTU, and a way to everywhere", async () => {
    const { attachment, pod } = await nodes.attach(1);
    expect(attachment.result).toMatchObject({
      interfaces: [{ mtu: 1450 }, { name: 'eth0', mtu: 1450, sandbox: pod.netns }],
      ips: [
        { address: '10.244.1.2/24', gateway: '10.244.1.1' },
        { address: 'fd00:244:1::2/64', gateway: 'fd00:244:1::1' },
      ],
      routes: [
        { dst: '0.0.0.0/0', gw: '10.244.1.1' },
        { dst: '::/0', gw: 'fd00:244:1::1' },
      ],
    });
    expect(await linkOf(pod, 'eth0')).toMatchObject({ mtu: 1450 });
    expect(await routesOf(pod)).toContainEqual(expect.objectContaining({ dst: 'default' }));
    await attachment.check();
  });

  test('tells no default route where the configuration says so, and takes a smaller MTU', async () => {
    const config = nodes.config({ isDefaultGateway: false, mtu: 1300 });
    const { attachment, pod } = await nodes.attach(1, config);
    expect(attachment.result?.routes ?? []).toEqual([]);
    expect(await routesOf(pod)).not.toContainEqual(expect.objectContaining({ dst: 'default' }));
    expect(await linkOf(pod, 'eth0')).toMatchObject({ mtu: 1300 });
  });

  test('is found out of order by CHECK, and put in order by the next ADD', async () => {
    const a = await nodes.attach(1);
    const b = await nodes.attach(2);
    const damages: [string, RegExp][] = [
      ['ip route del 10.244.2.0/24', /10\.244\.2\.0\/24/],
      ['ip -6 route del fd00:244:2::/64', /fd00:244:2::\/64/],
      ['ip neigh flush dev pwvxlan1 nud permanent', /neighbour/i],
      ['bridge fdb flush dev pwvxlan1', /FDB/i],
      ['ip link set pwvxlan1 down', /pwvxlan1/],
      ['ip link set pwvxlan1 address 02:00:00:00:00:99', /02:00:00:00:00:99|MAC/],
      ['ip link del pwvxlan1', /pwvxlan1/],
    ];
    for (const [damage, finding] of damages) {
      await host.shell(damage);
      expect(await a.attachment.finding(), damage).toMatch(finding);
      const c = await nodes.attach(1);
      await a.attachment.check();
      for (const address of b.attachment.addresses)
        expect(await ping(c.pod, address), `${address} after ${damage}`).toBe(true);
      await c.attachment.del();
    }
  }, 90_000);

  test('that a killed ADD left half made is completed by the next one', async () => {
    const config = nodes.config({ ipMasq: true });
    const b = await nodes.attach(2, config);
    const pod = await host.addPod('killed');
    const names = ['pwvxlan1', 'veth'];
    for (const name of names) {
      await host.shell('ip link del pwvxlan1 2>/dev/null || true');
      const running = startPlugin(host, {
        ...{ binDir: podwireBin, plugin: 'vxlan', command: 'ADD', config },
        ...{ containerId: 'killed', netns: pod },
      });
      await waitUntil(`there is a ${name}`, async () =>
        (await linkNames(host)).some((link) => link.startsWith(name)),
      );
      running.kill('SIGKILL');
      await running.outcome;
      const again = new Attachment(host, pod, config, { containerId: 'killed' });
      // It may have come to its end before.
      await again.del();
      await again.add();
      await again.check();
      for (const address of b.attachment.addresses) expect(await ping(pod, address)).toBe(true);
      await again.del();
    }
  });

  test('leaves alone what others have', async () => {
    await host.shell(`ip link add dummy9 type bridge; ip link set dummy9 up
      ip addr add 10.9.0.1/24 dev dummy9; ip route add 10.10.0.0/16 via 10.9.0.9`);
    const before = await snapshot(host);
    const { attachment, pod } = await nodes.attach(1);
    await attachment.del();
    await pod.remove();
    expect(leftovers(before, await snapshot(host), keptOverlay)).toEqual(nothing);
  });
});

describe('NAT', () => {
  test.for(['nftables', 'iptables'])('by %s is for what leaves the cluster only', async (ipMasqBackend) => {
    const outside = await connectOutside(host, ['203.0.113.0/24', '2001:db8:71::/64']);
    const config = nodes.config({ ipMasq: true, ipMasqBackend });
    const [a, b] = [await nodes.attach(1, config), await nodes.attach(2, config)];
    await Promise.all([startServer(outside.place, 80), startServer(b.pod, 80)]);
    for (const [index, address] of outside.addresses.entries())
      expect(await whoSees(a.pod, address, 80)).toBe(outside.hostAddresses[index]);
    for (const family of [4, 6] as const)
      expect(await whoSees(a.pod, b.attachment.address(family), 80)).toBe(a.attachment.address(family));
    await a.attachment.check();
  });
});

test('NAT changes its backend, and goes, with the first ADD after the configuration did', async () => {
  const rules = (): Promise<string> =>
    host.shell('nft list tables; iptables-save -t nat; ip6tables-save -t nat');
  const traces = { nftables: 'podwire_overlay1', iptables: 'PODWIRE-OVERLAY-1' };
  for (const made of ['nftables', 'iptables', undefined] as const) {
    const nat = made === undefined ? {} : { ipMasq: true, ipMasqBackend: made };
    const { attachment } = await nodes.attach(1, nodes.config(nat));
    await attachment.check();
    const found = await rules();
    for (const [backend, trace] of Object.entries(traces))
      expect(found.includes(trace), `${backend} for ${made}`).toBe(backend === made);
  }
});

describe('peers in a file', () => {
  test('are read by each ADD, so that a node joins with a line in the file', async () => {
    const path = '/run/nodes.json';
    const writeAll = (): void => {
      for (const each of nodes.hosts) writeFileSync(each.path(path), JSON.stringify({ nodes: nodes.peers }));
    };
    writeAll();
    const config = nodes.config({ peers: path });
    const [a, b] = [await nodes.attach(1, config), await nodes.attach(2, config)];
    expect(await ping(a.pod, b.attachment.address())).toBe(true);

    await nodes.join();
    writeAll();
    expect(await a.attachment.finding()).toMatch(/10\.244\.3\.0\/24/);
    const c = await nodes.attach(3, config);
    await nodes.attach(1, config);
    for (const address of c.attachment.addresses) expect(await ping(a.pod, address)).toBe(true);

    nodes.peers.splice(1, 1);
    writeAll();
    await nodes.attach(1, config);
    expect((await routesOf(host)).map(({ dst }) => dst)).not.toContain('10.244.2.0/24');
    expect(await ping(a.pod, c.attachment.address())).toBe(true);

    await host.shell(`rm ${path}`);
    await a.attachment.del();
  });
});

describe('peers of the agent', () => {
  test('without an agent: ADD is to be tried again, and STATUS tells', async () => {
    const config = nodes.config({ peers: 'agent' });
    const pod = await host.addPod('pod');
    const before = await snapshot(host);
    const { error } = await new Attachment(host, pod, config).attempt('ADD');
    expect(error).toMatchObject({ code: 11, msg: expect.stringContaining('VNI 1 is not set up') });
    expect(error?.details).toContain('podwire agent');
    expect((await status(config)).error).toMatchObject({ code: 50 });
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);
  });

  test('are its affair: ADD attaches, STATUS says when the device is gone', async () => {
    // What a sync leaves is the same, whoever makes it.
    await nodes.attach(1);
    const config = nodes.config({ peers: 'agent' });
    const b = await nodes.attach(2);
    const { attachment, pod } = await nodes.attach(1, config);
    expect(await ping(pod, b.attachment.address(6))).toBe(true);
    await attachment.check();
    expectDone(await status(config));
    for (const damage of ['ip link set pwvxlan1 down', 'ip link del pwvxlan1']) {
      await host.shell(damage);
      expect((await status(config)).error).toMatchObject({
        code: 50,
        msg: expect.stringContaining('pwvxlan1'),
      });
      expect(await attachment.finding()).toContain('pwvxlan1');
    }
    await host.shell('rm -r /run/podwire/overlay');
    await attachment.del();
    expect(await reservations(host, 'overlay')).toHaveLength(2);
  });

  test.for([
    [{ port: 4789 }, /"port" is not that of the agent, 8472/],
    [{ mode: 'direct' }, /"mode" is not that of the agent, vxlan/],
    [{ mtu: 1451 }, /"mtu" is more than the 1450 bytes/],
  ] as const)('cannot be overruled: %j', async ([keys, message]) => {
    await nodes.attach(1);
    const pod = await host.addPod('refused');
    const attachment = new Attachment(host, pod, nodes.config({ peers: 'agent', ...keys }));
    const { error } = await attachment.attempt('ADD');
    expect(error).toMatchObject({ code: 7, msg: expect.stringMatching(message) });
    await attachment.del();
  });
});

describe('a wrong configuration', () => {
  test.for([
    [{ mtu: 1451 }, 7, /"mtu" is 1451.*1450/],
    [{ underlay: 'eth7' }, 7, /"underlay" is "eth7"/],
    [{ node: 'n7' }, 7, /"node" is "n7"/],
    [{ peers: [] }, 7, /not among those in peers/],
    [{ peers: '/none.json' }, 7, /"\/none\.json", which does not exist/],
    [{ peers: [{ name: 'n1', addresses: ['198.51.100.1'], podCIDRs: [] }] }, 7, /no "podCIDRs"/],
    [{ ipam: {} }, 7, /"ipam\.type"/],
    [{ attach: 'bridge', bridge: 'eth0' }, 103, /"bridge" names "eth0"/],
  ] as const)('%j is error %i', async ([keys, code, message]) => {
    const before = await snapshot(host);
    const pod = await host.addPod('pod');
    const attachment = new Attachment(host, pod, nodes.config(keys));
    const { error } = await attachment.attempt('ADD');
    expect(error).toMatchObject({ code, msg: expect.stringMatching(message) });
    await attachment.del();
    await pod.remove();
    expect(leftovers(before, await snapshot(host), keptOverlay)).toEqual(nothing);
  });

  test('is what STATUS tells, too', async () => {
    expectDone(await status(nodes.config()));
    expect((await status(nodes.config({ peers: '/none.json' }))).error).toMatchObject({ code: 50 });
    expect((await status(nodes.config({ underlay: 'eth7' }))).error).toMatchObject({ code: 50 });
  });
});

describe.for(['veth', 'bridge'])('many pods at once by %s', (attach) => {
  test('on a node that has no overlay yet', async () => {
    const b = await nodes.attach(2, nodes.config({ attach }));
    const names = Array.from({ length: 12 }, (_, index) => `many${index}`);
    const pods = [];
    for (const name of names) pods.push(await host.addPod(name));
    const before = await snapshot(host);
    const config = nodes.config({ attach, ipMasq: true });
    const all = pods.map((pod) => new Attachment(host, pod, config));
    await Promise.all(all.map((attachment) => attachment.add()));
    expect(new Set(all.flatMap(({ addresses }) => addresses)).size).toBe(24);
    for (const pod of pods) expect(await ping(pod, b.attachment.address())).toBe(true);
    await Promise.all(all.map((attachment) => attachment.check()));
    await Promise.all(all.map((attachment) => attachment.del()));
    expect(leftovers(before, await snapshot(host), keptOverlay)).toEqual(nothing);
  });
});

describe('GC', () => {
  test('removes pods that are not valid, and neither others nor the overlay', async () => {
    const [a, b] = [await nodes.attach(1), await nodes.attach(1)];
    const config = {
      ...nodes.config(),
      'cni.dev/valid-attachments': [{ containerID: a.attachment.containerId, ifname: 'eth0' }],
    };
    expectDone(await callPlugin(host, { binDir: podwireBin, plugin: 'vxlan', command: 'GC', config }));
    expect((await reservations(host, 'overlay')).toSorted()).toEqual(a.attachment.addresses.toSorted());
    await a.attachment.check();
    expect(await b.attachment.finding()).toContain('no address is reserved');
    expect(await linkNames(b.pod)).toEqual(['lo']);
  });
});

describe('plugins of others', () => {
  beforeEach(() => expectPlugins(referenceBin, 'host-local', 'portmap'));

  test('their host-local gives the addresses and takes them back, also when nothing else is known', async () => {
    const path = [referenceBin, podwireBin];
    const config = nodes.config({ cniVersion: '1.0.0' });
    const a = await nodes.attach(1, config, { path });
    expect(a.attachment.addresses).toEqual(['10.244.1.2', 'fd00:244:1::2']);
    await a.attachment.check();
    await a.attachment.del();
    expect(await reservations(host, 'overlay')).toEqual([]);

    const b = await nodes.attach(1, config, { path });
    await host.shell('rm -r /run/podwire');
    await b.attachment.del({ config: { ...config, peers: 'agent' } });
    expect(await reservations(host, 'overlay')).toEqual([]);
  });

  test.for([
    [podwireBin, referenceBin],
    [referenceBin, podwireBin],
  ])('portmap of %s publishes a port of the pod', async (binDirs) => {
    const { place, hostAddresses } = await connectOutside(host, '203.0.113.0/24', { defaultRoute: true });
    const { peers, ipam, name } = nodes.config();
    const plugins = [
      { type: 'vxlan', peers, ipam },
      { type: 'portmap', snat: true, backend: 'iptables', capabilities: { portMappings: true } },
    ];
    const before = await snapshot(host);
    const pod = await host.addPod('published');
    const chain: ChainCall = {
      conflist: { cniVersion: '1.0.0', name, plugins },
      binDirs: [...binDirs],
      containerId: 'published',
      netns: pod,
      runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
    };
    const result = await addChain(host, chain);
    await startServer(pod, 80);
    expect(await whoSees(place, hostAddresses[0] ?? '', 8080)).toBe('203.0.113.2');
    // The reference's CHECK looks for rules of IPv4 in IPv6, and fails.
    const checked = binDirs[0] === podwireBin ? plugins : plugins.slice(0, 1);
    await checkChain(host, { ...chain, conflist: { ...chain.conflist, plugins: checked } }, result);
    await delChain(host, chain, result);
    await pod.remove();
    const allowed = [...keptOverlay, ...keptPortmapChains, / out0\b/];
    expect(leftovers(before, await snapshot(host), allowed)).toEqual(nothing);
  });
});

describe('podwire repair', () => {
  test.for(['veth', 'bridge'])('puts back what a pod by %s lacks on the host', async (attach) => {
    const { attachment, pod } = await nodes.attach(1, nodes.config({ attach }));
    const b = await nodes.attach(2, nodes.config({ attach }));
    await host.shell(attach === 'veth' ? `ip route del ${attachment.address()}` : 'ip link del pwbr1');
    await attachment.finding();
    await host.attempt([`${podwireBin}/podwire`, 'repair']);
    await attachment.check();
    for (const address of b.attachment.addresses) expect(await ping(pod, address)).toBe(true);
  });
});

test('an address that a range no longer has is given back', async () => {
  const { attachment } = await nodes.attach(1);
  const [own] = nodes.peers;
  if (own !== undefined) own.podCIDRs = ['10.244.77.0/24'];
  const moved = nodes.config();
  await attachment.del({ config: moved });
  expect(await reservations(host, 'overlay')).toEqual([]);
  const { attachment: next } = await nodes.attach(1, moved);
  expect(next.addresses).toEqual(['10.244.77.2']);
});
