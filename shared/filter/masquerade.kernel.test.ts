import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  createFilterHost,
  type FilterHost,
  itself,
  lackingForFilter,
  MASQUERADED,
  type TestPod,
} from '../../test/support/filter-host.ts';
import { lackingKernel } from '../../test/support/needs.ts';

const variants = [
  { name: 'nftables', backend: 'nftables', feature: 'nftables', prepare: '', save: 'true' },
  {
    name: 'iptables, as the plain name resolves',
    backend: 'iptables',
    feature: 'iptables (nft)',
    prepare: '',
    save: 'iptables-save -t nat; ip6tables-save -t nat',
  },
  {
    name: 'iptables, legacy because kubelet uses it',
    backend: 'iptables',
    feature: 'iptables (legacy)',
    prepare: 'iptables-legacy -w -t mangle -N KUBE-KUBELET-CANARY',
    save: 'iptables-legacy-save -t nat; ip6tables-legacy-save -t nat',
  },
] as const;

const lacking = lackingForFilter();

describe.each(variants)('masquerade with $name', ({ backend, feature, prepare, save }) => {
  let host: FilterHost;
  let first: TestPod;
  let second: TestPod;

  beforeEach((context) => {
    const reason = lacking ?? lackingKernel(feature);
    if (reason !== undefined) context.skip(reason);
  });

  beforeAll(async () => {
    if ((lacking ?? lackingKernel(feature)) !== undefined) return;
    host = await createFilterHost();
    await host.host.shell(prepare);
    first = await host.addPod(2);
    second = await host.addPod(3);
  });

  afterAll(() => host?.host.dispose());

  /** All rules of the backend, without counters. */
  const rules = async (): Promise<string> =>
    (await host.host.shell(`nft -s list ruleset inet; ${save}`)).replaceAll(/^#.*\n|\[\d+:\d+\]/gm, '');

  const owner = (containerId: string) => ({ network: 'pods', containerId, ifname: 'eth0' });
  const ofFirst = () => ({ owner: owner('one'), addresses: first.addresses, backend });
  const ofSecond = () => ({ owner: owner('two'), addresses: second.addresses, backend });

  test('hides pods outside, not from each other', async () => {
    expect(await host.seenOutside(first)).toEqual(itself(first));
    expect(await host.perform({ verb: 'apply', ...ofFirst() })).toBe(backend);
    expect(await host.perform({ verb: 'apply', ...ofSecond() })).toBe(backend);
    for (const pod of [first, second]) expect(await host.seenOutside(pod)).toEqual(MASQUERADED);
    expect(await host.seenInside(first, second)).toEqual(itself(first));
    expect(await host.seenInside(second, first)).toEqual(itself(second));
    await host.perform({ verb: 'check', ...ofFirst() });
    await host.perform({ verb: 'check', ...ofSecond() });
  });

  test('a second ADD of the same pod changes nothing', async () => {
    const before = await rules();
    await host.perform({ verb: 'apply', ...ofFirst() });
    expect(await rules()).toBe(before);
  });

  test('a removed pod shows itself, the other stays hidden; removing again is fine', async () => {
    await host.perform({ verb: 'remove', ...ofFirst() });
    expect(await host.seenOutside(first)).toEqual(itself(first));
    expect(await host.seenOutside(second)).toEqual(MASQUERADED);
    await host.perform({ verb: 'remove', ...ofFirst() });
    expect((await host.call({ verb: 'check', ...ofFirst() })).error?.code).toBe(105);
    await host.perform({ verb: 'check', ...ofSecond() });
  });

  test('a pod is removed without a record of its addresses or backend', async () => {
    await host.perform({ verb: 'remove', owner: owner('two') });
    expect(await host.seenOutside(second)).toEqual(itself(second));
    expect(await rules()).not.toContain('two');
  });

  test('collect removes what is not kept, of its network only', async () => {
    await host.perform({ verb: 'apply', ...ofFirst() });
    await host.perform({ verb: 'apply', ...ofSecond() });
    const keep = [{ containerID: 'one', ifname: 'eth0' }];
    await host.perform({ verb: 'collect', network: 'others', keep: [] });
    await host.perform({ verb: 'check', ...ofSecond() });
    await host.perform({ verb: 'collect', network: 'pods', keep });
    expect(await host.seenOutside(first)).toEqual(MASQUERADED);
    expect(await host.seenOutside(second)).toEqual(itself(second));
    await host.perform({ verb: 'check', ...ofFirst() });
    await host.perform({ verb: 'collect', network: 'pods', keep: [] });
    expect(await host.seenOutside(first)).toEqual(itself(first));
    expect(await rules()).not.toMatch(/one|CNI-[0-9a-f]|from-/);
  });

  test('twenty pods at once on a fresh host: every rule is there once', async () => {
    const pods = Array.from({ length: 20 }, (_, index) => ({
      owner: owner(`many${index}`),
      addresses: [
        { address: `10.1.1.${index}`, subnet: '10.1.0.0/16' },
        { address: `fd00:1::1:${index}`, subnet: 'fd00:1::/64' },
      ],
      backend,
    }));
    await Promise.all(pods.map((pod) => host.perform({ verb: 'apply', fresh: true, ...pod })));
    await Promise.all(pods.map((pod) => host.perform({ verb: 'check', ...pod })));
    await Promise.all(pods.map((pod) => host.perform({ verb: 'remove', ...pod })));
    expect(await rules()).not.toContain('many');
  });
});
