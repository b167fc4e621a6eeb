import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  createFilterHost,
  type FilterHost,
  itself,
  lackingForFilter,
  MASQUERADED,
  type TestPod,
} from '../../test/support/filter-host.ts';
import type { NatRequest } from '../../test/support/nat-driver.ts';
import { lackingKernel } from '../../test/support/needs.ts';
import { leftovers, nothing, snapshot } from '../../test/support/snapshot.ts';

const variants = [
  {
    name: 'nftables',
    backend: 'nftables',
    feature: 'nftables',
    prepare: '',
    flush: 'nft flush ruleset',
    save: 'nft -a list ruleset',
  },
  {
    name: 'iptables, as the plain name resolves',
    backend: 'iptables',
    feature: 'iptables (nft)',
    prepare: '',
    flush: 'iptables -t nat -F; ip6tables -t nat -F',
    save: 'iptables-save -t nat; ip6tables-save -t nat',
  },
  {
    name: 'iptables, legacy because kubelet uses it',
    backend: 'iptables',
    feature: 'iptables (legacy)',
    prepare: 'iptables-legacy -w -t mangle -N KUBE-KUBELET-CANARY',
    flush: 'iptables-legacy -t nat -F; ip6tables-legacy -t nat -F',
    save: 'iptables-legacy-save -t nat; ip6tables-legacy-save -t nat',
  },
] as const;

const BUN = fileURLToPath(new URL('../../node_modules/.bin/bun', import.meta.url));
const DRIVER = fileURLToPath(new URL('../../test/support/nat-driver.ts', import.meta.url));
const lacking = lackingForFilter();

describe.each(variants)('outgoing NAT with $name', ({ backend, feature, prepare, flush, save }) => {
  let host: FilterHost;
  let pod: TestPod;
  let other: TestPod;

  beforeEach((context) => {
    const reason = lacking ?? lackingKernel(feature);
    if (reason !== undefined) context.skip(reason);
  });

  beforeAll(async () => {
    if ((lacking ?? lackingKernel(feature)) !== undefined) return;
    host = await createFilterHost();
    await host.host.shell(prepare);
    pod = await host.addPod(2);
    other = await host.addPod(3);
  });

  afterAll(() => host?.host.dispose());

  const call = async (request: NatRequest): Promise<unknown> =>
    JSON.parse(await host.host.exec([BUN, DRIVER, JSON.stringify({ backend, ...request })]));
  const pods = ['10.1.0.0/16', 'fd00:1::/64'];
  const sync = (excluded: string[] = [], sources = pods): Promise<unknown> =>
    call({ verb: 'sync', sources, excluded });
  const remove = (vni = 1): Promise<unknown> => call({ verb: 'remove', vni, backend: undefined });
  /** All rules of the backend, without counters. */
  const rules = async (): Promise<string> =>
    (await host.host.shell(save)).replaceAll(/^#.*|\[\d+:\d+\]/gm, '');
  const settled = { backend, changed: false };
  const written = { backend, changed: true };

  test('the outside sees the node, pods see each other', { timeout: 60_000 }, async () => {
    expect(await host.seenOutside(pod)).toEqual(itself(pod));
    expect(await sync()).toEqual(written);
    expect(await host.seenOutside(pod)).toEqual(MASQUERADED);
    expect(await host.seenInside(pod, other)).toEqual(itself(pod));
  });

  test('what has not changed is not written', { timeout: 60_000 }, async () => {
    await sync();
    const before = await rules();
    expect(await sync()).toEqual(settled);
    expect(await rules()).toBe(before);
  });

  test('excluded ranges see the pod, until they are no longer excluded', { timeout: 60_000 }, async () => {
    expect(await sync(['192.0.2.0/24', '2001:db8::2'])).toEqual(written);
    expect(await host.seenOutside(pod)).toEqual(itself(pod));
    expect(await sync(['192.0.2.0/24', '2001:db8::2'])).toEqual(settled);
    expect(await sync(['192.0.2.0/25'])).toEqual(written);
    expect(await host.seenOutside(pod)).toEqual([itself(pod)[0], MASQUERADED[1]]);
    expect(await sync()).toEqual(written);
    expect(await host.seenOutside(pod)).toEqual(MASQUERADED);
  });

  test('only what comes from the sources is masqueraded', { timeout: 60_000 }, async () => {
    expect(await sync([], ['10.1.0.2/32'])).toEqual(written);
    expect(await host.seenOutside(pod)).toEqual([MASQUERADED[0], itself(pod)[1]]);
    expect(await host.seenOutside(other)).toEqual(itself(other));
    expect(await sync([], ['10.1.0.2/32'])).toEqual(settled);
    await sync();
  });

  test('what others flush comes back', { timeout: 60_000 }, async () => {
    await sync();
    await host.host.shell(flush);
    expect(await host.seenOutside(pod)).toEqual(itself(pod));
    expect(await sync()).toEqual(written);
    expect(await host.seenOutside(pod)).toEqual(MASQUERADED);
  });

  test("a pod's own ipMasq goes on beside it", { timeout: 60_000 }, async () => {
    await sync();
    const owner = { network: 'pods', containerId: 'pod2', ifname: 'eth0' };
    await host.perform({ verb: 'apply', owner, addresses: pod.addresses, backend });
    expect(await sync()).toEqual(settled);
    expect(await host.seenOutside(pod)).toEqual(MASQUERADED);
    expect(await remove()).toBe(true);
    expect(await host.seenOutside(pod)).toEqual(MASQUERADED);
    await host.perform({ verb: 'check', owner, addresses: pod.addresses, backend });
    await host.perform({ verb: 'remove', owner, addresses: pod.addresses, backend });
  });

  test('removal leaves nothing, and two overlays do not touch each other', { timeout: 60_000 }, async () => {
    await remove();
    const before = await snapshot(host.host);
    await sync(['203.0.113.0/24']);
    await call({ verb: 'sync', vni: 2, sources: ['10.1.0.3/32'] });
    expect(await sync(['203.0.113.0/24'])).toEqual(settled);
    expect(await remove()).toBe(true);
    expect(await remove()).toBe(false);
    expect(await host.seenOutside(other)).toEqual([MASQUERADED[0], itself(other)[1]]);
    expect(await remove(2)).toBe(true);
    expect(leftovers(before, await snapshot(host.host))).toEqual(nothing);
  });
});
