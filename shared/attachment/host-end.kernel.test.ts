import { beforeEach, expect, test } from 'vitest';
import { createNetns, ip, requireNamespaces } from '../kernel/test-netns.ts';
import { hasHostEnd, requireHostInterfaceName } from './host-end.ts';
import { hostInterfaceAlias, hostInterfaceName } from './host-interface-name.ts';

const owner = { network: 'net', containerId: 'box', ifname: 'eth0' };
const name = hostInterfaceName(owner);

beforeEach(requireNamespaces);

test('knows its own host end, also one that has no alias yet', async () => {
  const netns = await createNetns();
  const look = (): boolean => netns.run(() => hasHostEnd(owner));
  expect(look()).toBe(false);
  ip(netns, `link add ${name} type veth peer name other`);
  expect(look()).toBe(true);
  ip(netns, `link set ${name} alias ${hostInterfaceAlias(owner)}`);
  expect(look()).toBe(true);
  expect(netns.run(() => requireHostInterfaceName(owner))).toBe(true);
});

test('leaves what belongs to another attachment alone', async () => {
  const netns = await createNetns();
  expect(netns.run(() => requireHostInterfaceName(owner))).toBe(false);
  ip(netns, `link add ${name} type veth peer name other`, `link set ${name} alias podwire:net/living/eth0`);
  expect(netns.run(() => hasHostEnd(owner))).toBe(false);
  expect(() => netns.run(() => requireHostInterfaceName(owner))).toThrow(
    /belongs to podwire:net\/living\/eth0/,
  );
});
