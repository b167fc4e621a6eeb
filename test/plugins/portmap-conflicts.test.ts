import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { requireKernel, requireTool } from '../support/needs.ts';
import { keptBridge, keptPortmapChains, leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { startServer, whoSees } from '../support/traffic.ts';
import { startUdpServer } from '../support/udp.ts';
import {
  createPortmapHost,
  type PortMapping,
  type PortmapHost,
  type Published,
  type PublishOptions,
} from './portmap-host.ts';

// Two containers that ask for one port of the host.
const web: PortMapping = { hostPort: 8080, containerPort: 80 };

describe.for([
  { holder: 'nftables', newcomer: 'nftables' },
  { holder: 'iptables', newcomer: 'iptables' },
  { holder: 'iptables', newcomer: 'nftables' },
])('a holder by $holder, a newcomer by $newcomer', ({ holder, newcomer }) => {
  let host: PortmapHost;
  let host4: string;
  beforeEach(async (context) => {
    requireTool(context, 'busybox', 'nft', 'iptables');
    requireKernel(context, 'nftables', 'iptables (nft)');
    host = await createPortmapHost();
    host4 = host.outside.hostAddresses[0] ?? '';
  });
  afterEach(() => host?.dispose());

  const hold = (mapping = web, options: PublishOptions = {}): Promise<Published> =>
    host.publish('holder', [mapping], { portmap: { backend: holder }, ...options });
  const come = async (
    mapping = web,
    options: PublishOptions = {},
  ): Promise<{ code?: number; msg?: string }> => {
    const name = `newcomer${host.host.pods.length}`;
    try {
      await host.publish(name, [mapping], { portmap: { backend: newcomer }, ...options });
      return {};
    } catch (error) {
      const text = String(error);
      return JSON.parse(text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1)) as {
        code: number;
        msg: string;
      };
    }
  };

  test('the newcomer is told who has it, in any network, and leaves nothing', async () => {
    const { chain, pod, result } = await hold();
    await startServer(pod, 80);
    const before = await snapshot(host.host);
    const outsider = await host.chain('outsider', [web], {
      network: 'elsewhere',
      portmap: { backend: newcomer },
    });
    const { error } = await host.portmap('ADD', outsider, result);
    expect(error?.code).toBe(103);
    expect(error?.msg).toBe(
      `tcp port 8080 of any IPv4 address is taken by container "${chain.containerId}" of network "ports" (interface "eth0")`,
    );
    expect(error?.details).toContain(pod.netns);
    const { added } = leftovers(before, await snapshot(host.host));
    expect(added.filter((line) => !line.startsWith('netns outsider'))).toEqual([]);
    expect(await whoSees(host.outside.place, host4, 8080)).toBeDefined();
  });

  test.for([
    { has: {}, wants: { protocol: 'udp' }, conflict: false },
    { has: {}, wants: { hostPort: 8081 }, conflict: false },
    { has: {}, wants: { hostIP: '198.51.100.1' }, conflict: true },
    { has: { hostIP: '198.51.100.1' }, wants: {}, conflict: true },
    { has: { hostIP: '198.51.100.1' }, wants: { hostIP: '198.51.100.1' }, conflict: true },
    { has: { hostIP: '198.51.100.1' }, wants: { hostIP: '198.51.100.11' }, conflict: false },
    { has: { hostIP: '198.51.100.1' }, wants: { hostIP: '198.51.100.1', protocol: 'udp' }, conflict: false },
    { has: { hostIP: '0.0.0.0' }, wants: { hostIP: '::' }, conflict: false },
  ])('it has $has, wanted is $wants: $conflict', async ({ has, wants, conflict }) => {
    await hold({ ...web, ...has });
    expect((await come({ ...web, ...wants })).code).toBe(conflict ? 103 : undefined);
  });

  test('a holder that is gone without a DEL is taken over, and its DEL comes too late to do harm', async () => {
    const old = await hold();
    await old.pod.remove();
    expect(await come()).toEqual({});
    const [fresh] = host.host.pods.slice(-1);
    if (fresh === undefined) throw new Error('no pod');
    await startServer(fresh, 80);
    expect(await whoSees(host.outside.place, host4, 8080)).toBeDefined();
    await host.del(old);
    expect(await whoSees(host.outside.place, host4, 8080)).toBeDefined();
    expect(await host.host.exec(['nft', 'list', 'ruleset'])).not.toContain(old.chain.containerId);
  });

  test('one whose namespace has lost its name but lives is not', async () => {
    const old = await hold();
    await startUdpServer(old.pod, 53, 'still there');
    await old.pod.remove();
    expect((await come()).code).toBe(103);
  });

  test('one whose name leads to another namespace by now is gone', async () => {
    const old = await hold();
    await old.pod.remove();
    await host.host.addPod('holder');
    expect(await come()).toEqual({});
  });

  test('a repeated ADD is no conflict', async () => {
    const { chain, result } = await hold();
    expect((await host.portmap('ADD', chain, result)).exitCode).toBe(0);
    const other = { ...chain, runtimeConfig: { portMappings: [{ ...web, hostPort: 8088 }] } };
    expect((await host.portmap('ADD', other, result)).exitCode).toBe(0);
    // The ADD with other ports gave the first one back.
    expect(await come()).toEqual({});
  });

  test.for(['second', 'ports'])(
    'another interface of the container, on network %s, gets the port when the first goes',
    async (network) => {
      const before = await snapshot(host.host);
      const first = await hold();
      const { pod, chain } = first;
      const second = await host.publish('same', [web], {
        portmap: { backend: newcomer },
        network,
        subnet: 86,
        ifname: 'eth1',
        containerId: chain.containerId,
        pod,
      });
      await startServer(pod, 80);
      expect(await whoSees(host.outside.place, host4, 8080)).toBeDefined();
      for (const one of [first, second]) await host.check(one);
      await host.del(first);
      await host.check(second);
      await host.del(second);
      await pod.remove();
      const left = leftovers(before, await snapshot(host.host), [
        ...[85, 86].flatMap((subnet) => keptBridge(`cni${subnet}`)),
        ...keptPortmapChains,
      ]);
      expect(left).toEqual(nothing);
    },
  );
});

describe('what the packet filter itself knows', () => {
  let host: PortmapHost;
  beforeEach(async (context) => {
    requireKernel(context, 'nftables');
    host = await createPortmapHost();
  });
  afterEach(() => host?.dispose());

  test('a port is not taken away from a living pod when our files are lost', async () => {
    const holder = await host.publish('holder', [web], { portmap: { backend: 'nftables' } });
    await host.host.exec(['rm', '-rf', '/run/podwire']);
    const newcomer = await host.chain('newcomer', [web], { portmap: { backend: 'nftables' } });
    const { error } = await host.portmap('ADD', newcomer, holder.result);
    expect(error).toMatchObject({ code: 103 });
    expect(error?.msg).toContain(`taken by "ports ${holder.chain.containerId} eth0"`);
    await host.check(holder);
    await host.del(holder);
    expect((await host.portmap('ADD', newcomer, holder.result)).exitCode).toBe(0);
  });

  test('twenty at once on a fresh host: different ports all, the same port one', async () => {
    const { result } = await host.publish('template', []);
    const chains = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        host.chain(`pod${index}`, [{ ...web, hostPort: 2000 + index }], { portmap: { backend: 'nftables' } }),
      ),
    );
    const outcomes = await Promise.all(chains.map((chain) => host.portmap('ADD', chain, result)));
    expect(outcomes.map(({ error }) => error?.msg)).toEqual(chains.map(() => undefined));
    await Promise.all(chains.map((chain) => host.portmap('DEL', chain)));
    const rivals = chains.map((chain) => ({ ...chain, runtimeConfig: { portMappings: [web] } }));
    const codes = (await Promise.all(rivals.map((chain) => host.portmap('ADD', chain, result)))).map(
      ({ error }) => error?.code,
    );
    expect(codes.filter((code) => code === undefined)).toHaveLength(1);
    expect(codes.filter((code) => code === 103)).toHaveLength(19);
  });
});
