import { beforeEach, describe, expect, test } from 'vitest';
import { isDelivered } from './delivery.ts';
import { readLink } from './link.ts';
import type { Netns } from './netns.ts';
import { createNetns, ip, requireNamespaces } from './test-netns.ts';

describe('isDelivered', () => {
  let netns: Netns;
  beforeEach(async (context) => {
    requireNamespaces(context);
    netns = await createNetns();
    ip(netns, 'link add v0 type veth peer name v1', 'link set v0 up', 'link set v1 up');
    return () => netns.close();
  });
  const delivered = (address: string, ifname: string): boolean =>
    netns.run(() => isDelivered(address, readLink(ifname)?.index ?? 0));

  test.for(['fd00::1/128', 'fd00::1/64', 'fe80::1/128'])('tells when %s works', async (cidr) => {
    const address = cidr.slice(0, cidr.indexOf('/'));
    expect(delivered(address, 'v0')).toBe(false);
    ip(netns, `address add ${cidr} dev v0 nodad`);
    await expect.poll(() => delivered(address, 'v0')).toBe(true);
    expect(delivered(address, 'v1')).toBe(false);
    ip(netns, `address del ${cidr} dev v0`);
    expect(delivered(address, 'v0')).toBe(false);
  });

  test('tells a neighbour in the same subnet apart', () => {
    ip(netns, 'address add fd00::1/64 dev v0 nodad');
    expect(delivered('fd00::2', 'v0')).toBe(false);
  });

  test('is always true for IPv4', () => {
    ip(netns, 'address add 10.0.0.1/24 dev v0');
    expect(delivered('10.0.0.1', 'v0')).toBe(true);
  });
});
