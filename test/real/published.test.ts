import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { podwireBin } from '../support/binaries.ts';
import { newContainerId } from '../support/call-plugin.ts';
import { connectOutside } from '../support/links.ts';
import { lackingTools, requireKernel, skipFor } from '../support/needs.ts';
import { leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { startServer, whoSees } from '../support/traffic.ts';
import { buildLibcni, callLibcni, expectReply, type LibcniRequest, lackingLibcni } from './libcni.ts';
import { keptByShipped, readShipped, shippedAddresses } from './shipped.ts';

const lacking = lackingLibcni() ?? lackingTools('busybox', 'tc', 'nft');

const capabilityArgs = {
  portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }],
  bandwidth: { ingressRate: 50_000_000, ingressBurst: 8_000_000, egressRate: 50_000_000, egressBurst: 8e6 },
};

// conf/ as a runtime that links libcni calls it, with the capability arguments that a kubelet gives.
describe('the lists of conf/ driven by libcni', () => {
  let program: string;
  let host: TestHost;

  beforeAll(async () => {
    if (lacking === undefined) program = await buildLibcni();
  });
  beforeEach(async (context) => {
    skipFor(context, lacking);
    requireKernel(context, 'nftables', 'ifb');
    host = await createHost({ name: 'published' });
  });
  afterEach(() => host?.dispose());

  test.for([
    { file: '10-podwire.conflist', what: 'one process' },
    { file: '20-podwire-chain.conflist', what: 'a chain' },
  ])('$file ($what): a published port is reached from outside', async ({ file }) => {
    const outside = await connectOutside(host, ['198.51.100.0/24', '2001:db8:51::/64'], {
      defaultRoute: true,
    });
    const pod = await host.addPod('pod');
    await startServer(pod, 80);
    const before = await snapshot(host);
    const request: LibcniRequest = {
      conflist: readShipped(file, '1.0.0'),
      binDirs: [podwireBin],
      containerID: newContainerId(),
      netNS: pod.netns,
      capabilityArgs,
    };
    const call = (verb: 'validate' | 'add' | 'check' | 'del') => callLibcni(host, program, verb, request);
    const { capabilities } = expectReply(await call('validate'));
    expect(capabilities?.toSorted()).toEqual(['bandwidth', 'portMappings']);
    const added = expectReply(await call('add'));
    expect(added.result?.ips?.map(({ address }) => address.split('/')[0])).toEqual(shippedAddresses);
    expect(added.result?.interfaces?.some(({ name }) => name.startsWith('bwp'))).toBe(true);
    const asks = async (): Promise<(string | undefined)[]> =>
      await Promise.all(outside.hostAddresses.map((address) => whoSees(outside.place, address, 8080)));
    expect(await asks()).toEqual(outside.addresses);
    // Out again: only an ipMasq'ed address is what the outside's server sees.
    await startServer(outside.place, 81);
    for (const [index, address] of outside.addresses.entries())
      expect(await whoSees(pod, address, 81)).toBe(outside.hostAddresses[index]);
    expect(await host.exec(['tc', 'qdisc'])).toMatch(/qdisc tbf .* rate 50Mbit/);
    expectReply(await call('check'));

    // Taken away for a CHECK, and put back, so that DEL has to find its own.
    const table = await host.exec(['nft', 'list', 'table', 'inet', 'podwire_portmap']);
    await host.exec(['nft', 'delete', 'table', 'inet', 'podwire_portmap']);
    expect(await call('check')).toMatchObject({
      exitCode: 1,
      msg: expect.stringContaining('podwire_portmap'),
    });
    await host.exec(['nft', '-f', '-'], { stdin: table });
    expectReply(await call('check'));

    expect(await call('del')).toEqual({ exitCode: 0 });
    expect(await call('del')).toEqual({ exitCode: 0 });
    expect(await asks()).toEqual([undefined, undefined]);
    expect(leftovers(before, await snapshot(host), keptByShipped)).toEqual(nothing);
  });
});
