import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  createFilterHost,
  type FilterHost,
  lackingForFilter,
  MASQUERADED,
  type TestPod,
} from '../../test/support/filter-host.ts';
import { ping } from '../../test/support/traffic.ts';

const lacking = lackingForFilter('nftables bridge family');

describe('MAC spoof check', () => {
  let host: FilterHost;
  let pod: TestPod;
  let other: TestPod;

  beforeEach((context) => {
    if (lacking !== undefined) context.skip(lacking);
  });

  beforeAll(async () => {
    if (lacking !== undefined) return;
    host = await createFilterHost();
    pod = await host.addPod(2);
    other = await host.addPod(3);
  });

  afterAll(() => host?.host.dispose());

  const owner = { network: 'pods', containerId: 'one', ifname: 'eth0' };
  const request = () => ({ owner, addresses: pod.addresses, spoof: pod.spoof, backend: 'nftables' }) as const;
  const setMac = (of: TestPod, mac: string) =>
    of.pod.shell(
      `ip link set eth0 address ${mac}; ip neigh flush all; ip route replace default via 10.1.0.1`,
    );
  const reaches = (of: TestPod) => ping(of.pod, '10.1.0.1');

  test('drops what has another source MAC, of this pod only, in one transaction with the masquerade', async () => {
    await host.perform({ verb: 'apply', ...request() });
    await host.perform({ verb: 'check', ...request() });
    expect(await reaches(pod)).toBe(true);
    expect(await host.seenOutside(pod)).toEqual(MASQUERADED);
    await setMac(pod, '02:00:00:00:00:99');
    expect(await reaches(pod)).toBe(false);
    await setMac(other, '02:00:00:00:00:98');
    expect(await reaches(other)).toBe(true);
    await setMac(pod, pod.spoof.mac);
    expect(await reaches(pod)).toBe(true);
  });

  test('CHECK sees a missing MAC and flushed rules', async () => {
    await host.host.exec(['nft', 'flush set bridge podwire_spoof macs']);
    expect((await host.call({ verb: 'check', ...request() })).error?.message).toMatch(
      /element "veth2" \. .* is missing/,
    );
    await host.host.exec(['nft', 'flush chain bridge podwire_spoof prerouting']);
    expect((await host.call({ verb: 'check', ...request() })).error?.code).toBe(105);
    await host.perform({ verb: 'apply', ...request() });
    await host.perform({ verb: 'check', ...request() });
  });

  test('is removed by the record, and without one', async () => {
    await host.perform({ verb: 'remove', ...request() });
    await setMac(pod, '02:00:00:00:00:99');
    expect(await reaches(pod)).toBe(true);
    await host.perform({ verb: 'apply', ...request(), addresses: [] });
    expect(await reaches(pod)).toBe(false);
    await host.perform({ verb: 'remove', owner });
    expect(await reaches(pod)).toBe(true);
    expect(await host.host.exec(['nft', 'list', 'table', 'bridge', 'podwire_spoof'])).not.toContain('veth2');
  });

  test('works beside masquerade by iptables, and collect removes both', async () => {
    expect(await host.perform({ verb: 'apply', ...request(), backend: 'iptables' })).toBe('iptables');
    await host.perform({ verb: 'check', ...request(), backend: 'iptables' });
    expect(await reaches(pod)).toBe(false);
    await host.perform({ verb: 'collect', network: 'pods', keep: [] });
    expect(await reaches(pod)).toBe(true);
    expect(await host.host.exec(['iptables-save', '-t', 'nat'])).not.toContain('CNI-');
  });
});
