import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  createFilterHost,
  type FilterHost,
  itself,
  lackingForFilter,
  MASQUERADED,
  type TestPod,
} from '../../test/support/filter-host.ts';

const lacking = lackingForFilter();

describe('masquerade with nftables, disturbed', () => {
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

  const owner = { network: 'pods', containerId: 'one', ifname: 'eth0"};{$' };
  const backend = 'nftables';
  const request = () => ({ owner, addresses: pod.addresses, backend }) as const;

  test.each([
    ['flush table inet podwire_masquerade', 'postrouting has other rules'],
    ['flush chain inet podwire_masquerade from-10.1.0.0/16', 'from-10.1.0.0/16 has other rules'],
    ['add rule inet podwire_masquerade postrouting accept', 'postrouting has other rules'],
    ['delete element inet podwire_masquerade pods4 { 10.1.0.2 }', 'element 10.1.0.2 .* is missing'],
    ['delete table inet podwire_masquerade', 'postrouting is missing'],
    ['flush ruleset', 'postrouting is missing'],
    [
      'add chain inet podwire_masquerade c; delete element inet podwire_masquerade pods4 { 10.1.0.2 }; ' +
        'add element inet podwire_masquerade pods4 { 10.1.0.2 comment "pods one eth0%22%7d%3b%7b%24" : jump c }',
      'element 10.1.0.2 .* has another value',
    ],
  ])('CHECK sees, and a new ADD mends, "%s"', async (disturbance, message) => {
    await host.perform({ verb: 'remove', ...request() });
    await host.perform({ verb: 'apply', ...request() });
    await host.perform({ verb: 'check', ...request() });
    await host.host.exec(['nft', disturbance]);
    const { error } = await host.call({ verb: 'check', ...request() });
    expect(error?.code).toBe(105);
    expect(error?.message).toMatch(new RegExp(message));
    await host.perform({ verb: 'apply', ...request() });
    await host.perform({ verb: 'check', ...request() });
    expect(await host.seenOutside(pod)).toEqual(MASQUERADED);
  });

  test('an address is taken over, and its former owner cannot remove it', async () => {
    await host.perform({ verb: 'apply', ...request() });
    const heir = { ...request(), owner: { ...owner, containerId: 'heir' } };
    await host.perform({ verb: 'apply', ...heir });
    await host.perform({ verb: 'check', ...heir });
    expect((await host.call({ verb: 'check', ...request() })).error?.message).toContain(
      'belongs to "pods heir',
    );
    await host.perform({ verb: 'remove', ...request() });
    await host.perform({ verb: 'remove', owner });
    await host.perform({
      verb: 'collect',
      network: 'pods',
      keep: [{ containerID: 'heir', ifname: owner.ifname }],
    });
    await host.perform({ verb: 'check', ...heir });
    expect(await host.seenOutside(pod)).toEqual(MASQUERADED);
    await host.perform({ verb: 'remove', ...heir });
    expect(await host.seenOutside(pod)).toEqual(itself(pod));
  });

  test('an address that moves to another subnet follows it', async () => {
    const [four] = other.addresses;
    const wide = { address: four.address, subnet: '0.0.0.0/0' };
    await host.perform({ verb: 'apply', owner, addresses: [wide], backend });
    expect((await host.seenOutside(other))[0]).toBe(four.address);
    await host.perform({ verb: 'apply', owner, addresses: [four], backend });
    await host.perform({ verb: 'check', owner, addresses: [four], backend });
    expect((await host.seenOutside(other))[0]).toBe('192.0.2.1');
    await host.perform({ verb: 'remove', owner });
  });

  test('a network with a name too long for a comment is owned, found and collected', async () => {
    const long = { network: 'n'.repeat(150), containerId: 'c'.repeat(64), ifname: 'eth0' };
    await host.perform({ verb: 'apply', ...request(), owner: long });
    await host.perform({ verb: 'check', ...request(), owner: long });
    await host.perform({ verb: 'collect', network: 'n'.repeat(149), keep: [] });
    await host.perform({ verb: 'check', ...request(), owner: long });
    await host.perform({ verb: 'collect', network: long.network, keep: [] });
    expect(await host.seenOutside(pod)).toEqual(itself(pod));
  });

  test('STATUS says what is missing', async () => {
    expect(await host.call({ verb: 'status' })).toEqual({});
    expect(await host.call({ verb: 'status', backend: 'iptables' })).toEqual({});
    await host.host.shell('mount --bind /dev/null "$(command -v nft)"');
    const { error } = await host.call({ verb: 'status', backend: 'nftables' });
    expect(error?.code).toBe(50);
    expect(error?.message).toContain('nft is not installed');
    expect(await host.perform({ verb: 'apply', owner, addresses: pod.addresses })).toBe('iptables');
    expect(await host.seenOutside(pod)).toEqual(MASQUERADED);
    await host.perform({ verb: 'remove', owner });
  });
});
