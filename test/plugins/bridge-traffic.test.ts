import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { requireKernel, requireTool } from '../support/needs.ts';
import { leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { ping } from '../support/traffic.ts';
import { Attachment, attachPod } from './attachment.ts';
import { linkOf } from './kernel-state.ts';

const config = {
  cniVersion: '1.1.0',
  name: 'traffic',
  type: 'bridge',
  isDefaultGateway: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.4.0.0/24' }], [{ subnet: 'fd04::/64' }]] },
};
const gateways = ['10.4.0.1', 'fd04::1'];

/** One echo request, answered at once or not at all: nothing is tried again. */
const pingOnce = ['ping', '-n', '-q', '-c', '1', '-W', '1'];

describe('pods on a bridge', () => {
  let host: TestHost;
  beforeEach(async (context) => {
    requireTool(context, 'ping');
    host = await createHost({ name: 'traffic' });
  });
  afterEach(() => host.dispose());

  test('reach gateway and each other by the first packet after ADD', async () => {
    const a = await attachPod(host, 'a', config);
    // While a duplicate were searched for, the first packet would have no source address.
    for (const gateway of gateways) await a.pod.exec([...pingOnce, gateway]);
    const b = await attachPod(host, 'b', config);
    for (const address of a.attachment.addresses) await b.pod.exec([...pingOnce, address]);
    for (const address of b.attachment.addresses) await a.pod.exec([...pingOnce, address]);
    for (const address of b.attachment.addresses) await host.exec([...pingOnce, address]);
    expect(await a.pod.exec(['ip', '-6', 'addr', 'show', 'tentative'])).toBe('');
  });

  test.for([{ portIsolation: false }, { portIsolation: true }])(
    'are isolated: %j',
    async (option, context) => {
      requireKernel(context, 'bridge port isolation');
      const a = await attachPod(host, 'a', { ...config, ...option });
      const b = await attachPod(host, 'b', { ...config, ...option });
      const { info_slave_data } = (await linkOf(host, a.attachment.port)).linkinfo ?? {};
      expect(info_slave_data?.isolated).toBe(option.portIsolation);
      const reached = await Promise.all(b.attachment.addresses.map((address) => ping(a.pod, address)));
      expect(reached).toEqual([!option.portIsolation, !option.portIsolation]);
      for (const gateway of gateways) expect(await ping(a.pod, gateway)).toBe(true);
    },
  );

  test.for([{ hairpinMode: false }, { hairpinMode: true }])(
    'get their own frames back: %j',
    async (option) => {
      const { pod, attachment } = await attachPod(host, 'pod', { ...config, ...option });
      const { info_slave_data } = (await linkOf(host, attachment.port)).linkinfo ?? {};
      expect(info_slave_data?.hairpin).toBe(option.hairpinMode);
      // The bridge floods a broadcast; the port it came from gets it in hairpin mode only.
      const { address: mac } = await linkOf(pod, 'eth0');
      await pod.exec(['nft', '-f', '-'], {
        stdin: `table netdev t { chain c { type filter hook ingress device eth0 priority 0; ether saddr ${mac} counter; }; }`,
      });
      await pod.attempt(['ping', '-n', '-q', '-c', '1', '-W', '1', '10.4.0.99']);
      const [, packets = 'none'] =
        /counter packets (\d+)/.exec(await pod.exec(['nft', 'list', 'ruleset'])) ?? [];
      if (option.hairpinMode) expect(Number(packets)).toBeGreaterThan(0);
      else expect(packets).toBe('0');
    },
  );

  test('hairpinMode excludes promiscMode', async () => {
    const pod = await host.addPod('pod');
    const before = await snapshot(host);
    const both = new Attachment(host, pod, { ...config, hairpinMode: true, promiscMode: true });
    const { error } = await both.attempt('ADD');
    expect(error).toMatchObject({ code: 7, msg: expect.stringContaining('promiscMode') });
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);
  });

  test('with macspoofchk speak by their own MAC only', async (context) => {
    requireKernel(context, 'nftables bridge family');
    const a = await attachPod(host, 'a', { ...config, macspoofchk: true });
    const b = await attachPod(host, 'b', config);
    expect(await ping(a.pod, b.attachment.address())).toBe(true);
    await a.attachment.check();
    const mac = (await linkOf(a.pod, 'eth0')).address;
    await a.pod.exec(['ip', 'link', 'set', 'eth0', 'address', '02:00:00:00:00:99']);
    await a.pod.exec(['ip', 'neigh', 'flush', 'all']);
    expect(await ping(a.pod, b.attachment.address())).toBe(false);
    await a.pod.exec(['ip', 'link', 'set', 'eth0', 'address', mac]);
    expect(await ping(a.pod, b.attachment.address())).toBe(true);
    // Whom it was not asked for may use any.
    await b.pod.exec(['ip', 'link', 'set', 'eth0', 'address', '02:00:00:00:00:98']);
    expect(await ping(b.pod, gateways[0] ?? '')).toBe(true);
    await a.attachment.del();
    expect(await host.exec(['nft', 'list', 'ruleset'])).not.toContain(a.attachment.port);
  });

  test('tell their neighbours at once when they take over an address', async () => {
    const watcher = await attachPod(host, 'watcher', config);
    const old = await attachPod(host, 'old', config);
    const addresses = old.attachment.addresses;
    for (const address of addresses) await watcher.pod.exec([...pingOnce, address]);
    await old.attachment.del();
    // The successor gets the address that was just given back; the watcher and the host know its old MAC.
    const next = await host.addPod('next');
    const successor = new Attachment(host, next, { ...config, runtimeConfig: { ips: addresses } });
    for (const place of [watcher.pod, host]) {
      const device = place === host ? 'cni0' : 'eth0';
      for (const address of addresses) {
        const entry = ['ip', 'neigh', 'replace', address, 'lladdr', '02:00:00:00:00:77', 'dev', device];
        await place.exec([...entry, 'nud', 'reachable']);
      }
    }
    await successor.add();
    expect(successor.addresses).toEqual(addresses);
    for (const address of addresses) {
      await watcher.pod.exec([...pingOnce, address]);
      await host.exec([...pingOnce, address]);
    }
  });

  test('with enabledad have addresses that nobody else has', async () => {
    const dad = { ...config, enabledad: true };
    const first = await attachPod(host, 'first', dad);
    expect(await first.pod.exec(['ip', '-6', 'addr', 'show', 'tentative'])).toBe('');
    for (const gateway of gateways) await first.pod.exec([...pingOnce, gateway]);
    // Somebody on the link uses the next address without having asked for it.
    await first.pod.exec(['ip', 'addr', 'add', 'fd04::3/64', 'dev', 'eth0', 'nodad']);
    const pod = await host.addPod('second');
    const before = await snapshot(host);
    const second = new Attachment(host, pod, dad);
    const { error } = await second.attempt('ADD');
    expect(error).toMatchObject({ code: 103, msg: expect.stringContaining('fd04::3') });
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);
  });
});
