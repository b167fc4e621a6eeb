import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { expectPlugins, podwireBin, referenceBin } from '../support/binaries.ts';
import { addChain, type ChainCall, checkChain, delChain } from '../support/chain.ts';
import { requireKernel, requireTool } from '../support/needs.ts';
import { keptBridge, keptPortmapChains, leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { startServer, whoSees } from '../support/traffic.ts';
import { createPortmapHost, type PortMapping, type PortmapHost } from './portmap-host.ts';

// The reference's portmap and ours: the same rules with iptables, one taking away what the other made, and
// chains of both.
const many = Array.from({ length: 17 }, (_, index) => ({
  hostPort: 9001 + index,
  containerPort: 80,
  protocol: 'udp',
}));
const ports: PortMapping[] = [
  { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
  { hostPort: 8081, containerPort: 80, protocol: 'tcp', hostIP: '198.51.100.1' },
  { hostPort: 8082, containerPort: 80, protocol: 'sctp', hostIP: '::' },
  { hostPort: 8083, containerPort: 80, protocol: 'udp', hostIP: '0.0.0.0' },
  { hostPort: 8084, containerPort: 80, protocol: 'tcp', hostIP: '2001:db8:51::1' },
  ...many,
];

let host: PortmapHost;
let host4: string;
let host6: string;
beforeEach(async (context) => {
  requireTool(context, 'busybox', 'nft', 'iptables');
  requireKernel(context, 'nftables', 'iptables (nft)');
  expectPlugins(referenceBin, 'portmap', 'bridge', 'host-local', 'firewall');
  host = await createPortmapHost();
  [host4 = '', host6 = ''] = host.outside.hostAddresses;
});
afterEach(() => host?.dispose());

const natRules = async (): Promise<string[]> =>
  (await host.host.shell('for t in iptables ip6tables; do echo $t; $t-save -t nat; done'))
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .map((line) => line.replace(/ \[\d+:\d+\]$/, ''));

describe('the rules of both are the same', () => {
  // (The reference 1.1.1 does not know masqAll.)
  test.for([
    {},
    { snat: false },
    { markMasqBit: 31 },
    { markMasqBit: 0 },
    { externalSetMarkChain: 'KUBE-MARK-MASQ' },
    {
      conditionsV4: ['-d', '198.51.100.1', '!', '-s', '10.0.0.0/8'],
      conditionsV6: ['!', '-d', '2001:db8::/32'],
    },
    { conditionsV4: ['-m', 'comment', '--comment', 'it\'s a "comment"'] },
  ])('%j', async (keys) => {
    const { chain, result } = await host.publish('pod', [], { portmap: { backend: 'iptables' } });
    await host.host.shell('for t in iptables ip6tables; do $t -t nat -N KUBE-MARK-MASQ; done');
    chain.runtimeConfig = { portMappings: ports };
    const clean = await natRules();
    const call = (binDir: string, command: string) =>
      host.portmap(command, { ...chain, binDirs: [binDir] }, result, keys);
    const theirResult = await call(referenceBin, 'ADD');
    const theirs = await natRules();
    expect((await call(podwireBin, 'CHECK')).error).toBeUndefined();
    // Ours finds all there, and leaves it.
    const ourResult = await call(podwireBin, 'ADD');
    expect(await natRules()).toEqual(theirs);
    // The reference 1.1.1 prints an empty dns.
    expect({ dns: {}, ...ourResult.result }).toEqual(theirResult.result);
    await call(podwireBin, 'DEL');
    await host.host.shell(
      'for t in iptables ip6tables; do $t -t nat -F; $t -t nat -X; $t -t nat -N KUBE-MARK-MASQ; done',
    );
    // And on a node without any, it makes them; in another order of chains' names only.
    expect((await call(podwireBin, 'ADD')).error).toBeUndefined();
    const podsOwn = (lines: string[]): string[] =>
      lines.filter((line) => !/name: |CNI-[0-9a-f]{24}/.test(line) || /dnat name/.test(line));
    expect(podsOwn(await natRules())).toEqual(podsOwn(theirs));
    expect((await call(referenceBin, 'DEL')).exitCode).toBe(0);
    expect((await natRules()).filter((line) => line.includes('CNI-DN'))).toEqual([]);
    expect(clean.filter((line) => line.includes('CNI-DN'))).toEqual([]);
  });
});

test.for([
  { from: 'the reference', adds: referenceBin, to: 'ours', deletes: podwireBin },
  { from: 'ours', adds: podwireBin, to: 'the reference', deletes: referenceBin },
])('a node that changes from $from to $to with a pod running', async ({ adds, deletes }) => {
  const before = await snapshot(host.host);
  const options = { portmap: { backend: 'iptables' } };
  const old = await host.publish('old', ports, { ...options, binDirs: [adds] });
  await startServer(old.pod, 80);
  expect(await whoSees(host.outside.place, host4, 8080)).toBe(host.outside.addresses[0]);
  const fresh = await host.publish('fresh', [{ hostPort: 8090, containerPort: 80, protocol: 'tcp' }], {
    ...options,
    binDirs: [deletes],
  });
  await startServer(fresh.pod, 80);
  for (const port of [8080, 8090]) {
    expect(await whoSees(host.outside.place, host4, port)).toBe(host.outside.addresses[0]);
    expect(await whoSees(host.outside.place, host6, port)).toBe(host.outside.addresses[1]);
  }
  const switched: ChainCall = { ...old.chain, binDirs: [deletes] };
  if (deletes === podwireBin) {
    const { error } = await host.portmap('CHECK', switched, old.result);
    expect(error).toBeUndefined();
  }
  await delChain(host.host, switched, old.result);
  expect(await whoSees(host.outside.place, host4, 8080)).toBeUndefined();
  expect(await whoSees(host.outside.place, host4, 8090)).toBeDefined();
  await host.del(fresh);
  for (const { pod } of [old, fresh]) await pod.remove();
  // What the other does not know is our files; ports in them are taken over by whoever wants them.
  const ours = /^file (\/run\/podwire\/(portmap|ports|attachments)|\/var\/lib\/cni\/networks\/\.podwire)\//;
  const kept = [...keptBridge('cni85'), ...keptPortmapChains, ...(deletes === referenceBin ? [ours] : [])];
  expect(leftovers(before, await snapshot(host.host), kept)).toEqual(nothing);
  const again = await host.publish('again', ports, options);
  await startServer(again.pod, 80);
  expect(await whoSees(host.outside.place, host4, 8080)).toBeDefined();
});

test('where kubelet uses the legacy variant, so do both', async (context) => {
  requireKernel(context, 'iptables (legacy)');
  await host.host.exec(['iptables-legacy', '-w', '-t', 'mangle', '-N', 'KUBE-KUBELET-CANARY']);
  const { chain, result, pod } = await host.publish('pod', [], { portmap: { backend: 'iptables' } });
  await startServer(pod, 80);
  chain.runtimeConfig = { portMappings: ports };
  const rules = async (): Promise<string> =>
    (await host.host.shell('for t in iptables ip6tables; do $t-legacy-save -t nat; done')).replaceAll(
      /^#.*$|\[\d+:\d+\]/gm,
      '',
    );
  for (const round of ['first', 'second']) {
    expect((await host.portmap('ADD', chain, result)).error, round).toBeUndefined();
    expect((await host.portmap('ADD', chain, result)).error, round).toBeUndefined();
    expect((await host.portmap('CHECK', chain, result)).error, round).toBeUndefined();
    expect(await rules()).toContain('--to-destination 10.85.0.2:80');
    expect(await whoSees(host.outside.place, host4, 8080)).toBe(host.outside.addresses[0]);
    expect(await whoSees(pod, host4, 8080)).toBe('10.85.0.1');
    expect(await host.host.exec(['nft', 'list', 'ruleset'])).not.toContain('CNI-DN');
    expect((await host.portmap('DEL', chain)).error, round).toBeUndefined();
    expect(await rules()).not.toContain('CNI-DN');
  }
});

test('what the nftables backend of a newer reference made goes with our DEL', async () => {
  const { chain, result } = await host.publish('pod', []);
  const id = chain.containerId;
  // As its release 1.6 makes it, with a neighbour's rules.
  const rules = (comment: string, port: number): string =>
    ['ip', 'ip6']
      .map(
        (family) => `
        add rule ${family} cni_hostport hostports tcp dport ${port} dnat to ${family === 'ip' ? '10.85.0.2' : '[fd85::2]'}:80 comment "${comment}"
        add rule ${family} cni_hostport masquerading ${family} saddr ${family === 'ip' ? '10.85.0.2' : 'fd85::2'} masquerade comment "${comment}"`,
      )
      .join('\n');
  const frame = ['ip', 'ip6']
    .map(
      (family) => `
      add table ${family} cni_hostport
      add chain ${family} cni_hostport hostports
      add chain ${family} cni_hostport hostip_hostports
      add chain ${family} cni_hostport masquerading { type nat hook postrouting priority 100; }`,
    )
    .join('\n');
  await host.host.exec(['nft', '-f', '-'], {
    stdin: `${frame}${rules(id, 8080)}${rules('neighbour', 8081)}\n`,
  });
  expect(
    (await host.portmap('DEL', { ...chain, runtimeConfig: { portMappings: ports } }, result)).exitCode,
  ).toBe(0);
  const left = await host.host.exec(['nft', 'list', 'ruleset']);
  expect(left.match(/comment "neighbour"/g)).toHaveLength(4);
  expect(left).not.toContain(`comment "${id}"`);
});

describe('chains of both', () => {
  test.for([
    {
      whose: 'their bridge before our portmap',
      binDirs: { bridge: referenceBin, portmap: podwireBin, firewall: referenceBin },
    },
    {
      whose: 'our bridge before their portmap',
      binDirs: { bridge: podwireBin, portmap: referenceBin, firewall: referenceBin },
    },
  ])('$whose, and their firewall last', async ({ binDirs }) => {
    const before = await snapshot(host.host);
    await host.host.shell('mkdir -p /run/bin');
    const links = { ...binDirs, 'host-local': referenceBin };
    for (const [name, directory] of Object.entries(links)) {
      await host.host.exec(['ln', '-s', `${directory}/${name}`, `/run/bin/${name}`]);
    }
    const chain = await host.chain('pod', ports.slice(0, 2), { binDirs: [host.host.path('/run/bin')] });
    chain.conflist.plugins.push({ type: 'firewall' });
    const result = await addChain(host.host, chain);
    expect(result.ips).toHaveLength(2);
    const pod = host.host.pods[0];
    if (pod === undefined) throw new Error('no pod');
    await startServer(pod, 80);
    expect(await whoSees(host.outside.place, host4, 8080)).toBe(host.outside.addresses[0]);
    expect(await whoSees(host.outside.place, host6, 8080)).toBe(host.outside.addresses[1]);
    expect(await whoSees(host.host, '127.0.0.1', 8080)).toBeDefined();
    expect(await whoSees(pod, host4, 8080)).toBeDefined();
    if (binDirs.portmap === podwireBin) await checkChain(host.host, chain, result);
    await delChain(host.host, chain, result);
    expect(await whoSees(host.outside.place, host4, 8080)).toBeUndefined();
    await pod.remove();
    const firewall = /^(nft (chain|rule)|ip6?tables-\S+) (ip6? )?filter .*CNI-(FORWARD|ADMIN)/;
    const left = leftovers(before, await snapshot(host.host), [
      ...keptBridge('cni85'),
      ...keptPortmapChains,
      firewall,
      /CNI-FORWARD|CNI-ADMIN/,
    ]);
    expect(left).toEqual(nothing);
  });
});
