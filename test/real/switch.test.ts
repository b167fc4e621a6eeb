import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { expectPlugins, podwireBin, referenceBin } from '../support/binaries.ts';
import { callPlugin, expectDone, newContainerId, type PrintedResult } from '../support/call-plugin.ts';
import { addChain, type ChainCall, delChain } from '../support/chain.ts';
import { connectOutside, type Outside } from '../support/links.ts';
import { lackingKernel, requireTool, skipFor } from '../support/needs.ts';
import type { Pod } from '../support/pod.ts';
import { keptBridge, leftovers, nothing, type Snapshot, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { ping, startServer, whoSees } from '../support/traffic.ts';
import { leftByEmptyNetns } from './reference-leaves.ts';

// A node that changes from the reference's binaries to ours with pods running, and back: what one made
// keeps working under the other, and the other takes it away completely.
const ipam = {
  type: 'host-local',
  ranges: [[{ subnet: '10.77.0.0/24' }], [{ subnet: 'fd77::/64' }]],
  routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
};
const networks = [
  { type: 'bridge', keys: { bridge: 'cni0', isGateway: true } },
  { type: 'ptp', keys: {} },
].flatMap(({ type, keys }) =>
  // The reference of Debian 12 knows no backend and always takes iptables.
  ['iptables', 'nftables'].map((ipMasqBackend) => ({
    type,
    ipMasqBackend,
    plugin: { type, ...keys, ipMasq: true, ipMasqBackend, ipam },
  })),
);

interface Attached {
  pod: Pod;
  chain: ChainCall;
  result: PrintedResult;
}

describe.each(networks)('switching $type with $ipMasqBackend', ({ type, ipMasqBackend, plugin }) => {
  const conflist = { cniVersion: '1.0.0', name: 'node', plugins: [plugin] };
  let host: TestHost;
  let outside: Outside;
  let before: Snapshot;
  const pods: Record<string, Pod> = {};

  beforeEach(async (context) => {
    requireTool(context, 'busybox', 'iptables');
    skipFor(context, lackingKernel('nftables', 'iptables (nft)'));
    expectPlugins(referenceBin, type, 'host-local');
    expectPlugins(podwireBin, type, 'host-local');
    host = await createHost({ name: 'switch' });
    outside = await connectOutside(host, ['198.51.100.0/24', '2001:db8:51::/64']);
    await startServer(outside.place, 80);
    for (const name of ['old1', 'old2', 'new1', 'new2']) pods[name] = await host.addPod(name);
    before = await snapshot(host);
  });
  afterEach(() => host?.dispose());

  const attach = async (name: string, binDir: string): Promise<Attached> => {
    const pod = pods[name];
    if (pod === undefined) throw new Error(`no pod ${name}`);
    const chain = { conflist, binDirs: [binDir], containerId: newContainerId(name), netns: pod };
    return { pod, chain, result: await addChain(host, chain) };
  };
  const detach = (
    { chain, result }: Attached,
    binDir: string,
    overrides: Partial<ChainCall> = {},
  ): Promise<void> => delChain(host, { ...chain, binDirs: [binDir], ...overrides }, result);
  // The reference takes a missing iptables chain for an error when it deletes what we masqueraded with
  // nftables; by then it has removed the rest, and succeeds when the runtime repeats the DEL.
  const detachByReference = async (attached: Attached): Promise<void> => {
    try {
      await detach(attached, referenceBin);
    } catch (error) {
      if (ipMasqBackend !== 'nftables') throw error;
      expect(String(error)).toMatch(/Chain 'CNI-\w+' does not exist/);
      await detach(attached, referenceBin);
    }
  };
  const expectTraffic = async (attached: Attached[]): Promise<void> => {
    const addresses = attached.flatMap(({ result }) => addressesOf(result));
    expect(new Set(addresses).size).toBe(addresses.length);
    for (const { pod, result } of attached) {
      const own = addressesOf(result);
      for (const address of addresses.filter((other) => !own.includes(other))) {
        expect(await ping(pod, address), `${pod.name} reaches ${address}`).toBe(true);
      }
      for (const [index, address] of outside.addresses.entries()) {
        expect(await whoSees(pod, address, 80), `${pod.name} to ${address}`).toBe(
          outside.hostAddresses[index],
        );
      }
    }
  };
  const left = async (allow: RegExp[] = []): Promise<unknown> =>
    leftovers(before, await snapshot(host), [...keptBridge('cni0'), ...allow]);

  test('pods of the reference keep working with ours and are taken away by it', async () => {
    const old1 = await attach('old1', referenceBin);
    const old2 = await attach('old2', referenceBin);
    await expectTraffic([old1, old2]);
    const new1 = await attach('new1', podwireBin);
    await expectTraffic([old1, old2, new1]);
    await detach(old1, podwireBin);
    const new2 = await attach('new2', podwireBin);
    await expectTraffic([old2, new1, new2]);
    for (const pod of [old2, new1, new2]) await detach(pod, podwireBin);
    expect(await left()).toEqual(nothing);
  });

  test('a pod of the reference whose netns or result is lost', async () => {
    const old1 = await attach('old1', referenceBin);
    const old2 = await attach('old2', referenceBin);
    await detach(old1, podwireBin, { netns: '' });
    await delChain(host, { ...old2.chain, binDirs: [podwireBin] });
    for (const { pod } of [old1, old2]) await pod.remove();
    const allowed = [/^netns old[12]/, ...leftByEmptyNetns];
    await expect.poll(() => left(allowed), { timeout: 5000 }).toEqual(nothing);
  });

  test('pods of ours keep working with the reference and are taken away by it', async () => {
    const new1 = await attach('new1', podwireBin);
    const new2 = await attach('new2', podwireBin);
    const old1 = await attach('old1', referenceBin);
    await expectTraffic([new1, new2, old1]);
    await detachByReference(new1);
    const old2 = await attach('old2', referenceBin);
    await expectTraffic([new2, old1, old2]);
    for (const pod of [new2, old1, old2]) await detachByReference(pod);
    expect(await left(unknownToReference)).toEqual(nothing);
    const config = { ...plugin, cniVersion: '1.1.0', name: 'node', 'cni.dev/valid-attachments': [] };
    if (podwireBin !== referenceBin) {
      expectDone(await callPlugin(host, { binDir: podwireBin, plugin: type, command: 'GC', config }));
    }
    expect(await left()).toEqual(nothing);
  });

  test('there and back again', async () => {
    const old1 = await attach('old1', referenceBin);
    const new1 = await attach('new1', podwireBin);
    const old2 = await attach('old2', referenceBin);
    const new2 = await attach('new2', podwireBin);
    await expectTraffic([old1, new1, old2, new2]);
    await detachByReference(new1);
    await detach(old1, podwireBin);
    await expectTraffic([old2, new2]);
    await detach(new2, podwireBin);
    await detachByReference(old2);
    // Its addresses are free again, also for ours.
    const again = await attach('new1', podwireBin);
    await expectTraffic([again]);
    await detach(again, podwireBin);
    expect(await left(unknownToReference)).toEqual(nothing);
  });
});

// Our own records and set elements, which the reference cannot know; the next GC of ours takes them.
const unknownToReference = [
  /^file \/run\/podwire\/attachments\//,
  /^file \/var\/lib\/cni\/networks\/\.podwire\//,
  /^nft element inet podwire_masquerade /,
];

const addressesOf = ({ ips = [] }: PrintedResult): string[] =>
  ips.map(({ address }) => address.replace(/\/.*/, ''));
