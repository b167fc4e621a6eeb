import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { expectDone } from '../support/call-plugin.ts';
import { keptBridge, leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { ping } from '../support/traffic.ts';
import { Attachment, attachPod } from './attachment.ts';
import { linkNames, reservations } from './kernel-state.ts';

const ipam = { type: 'host-local', ranges: [[{ subnet: '10.10.0.0/24' }], [{ subnet: 'fd10::/64' }]] };
const common = { cniVersion: '1.1.0', name: 'collected', ipMasq: true, ipam };
const bridge = { ...common, type: 'bridge', isGateway: true, macspoofchk: true };
const ptp = { ...common, type: 'ptp' };

describe.for([bridge, ptp])('GC of $type', (config) => {
  let host: TestHost;
  beforeEach(async () => {
    host = await createHost({ name: 'gc' });
  });
  afterEach(() => host.dispose());

  const collect = (kept: Attachment[], key = 'cni.dev/valid-attachments', json: object = config) => {
    const list = kept.map(({ containerId, ifname }) => ({ containerID: containerId, ifname }));
    const gc = new Attachment(host, '', config, { ifname: '', containerId: '' });
    return gc.attempt('GC', { config: { ...json, [key]: list }, env: { CNI_NETNS: undefined } });
  };

  test.for([
    { what: 'whose netns are there', script: 'true', key: 'cni.dev/valid-attachments' },
    { what: 'under the key of old', script: 'true', key: 'cni.dev/attachments' },
    { what: 'whose netns are gone', script: 'ip netns del b; ip netns del c' },
    { what: 'whose records are lost', script: 'rm -r /run/podwire/*' },
    {
      what: 'of which nothing but links and rules is left',
      script: 'rm -r /run/podwire/* /var/lib/cni/networks',
    },
    {
      what: 'of which only records and addresses are left',
      script: 'ip netns del b; ip netns del c; nft flush ruleset',
    },
  ])('takes away attachments $what', async ({ script, key }) => {
    const a = await attachPod(host, 'a', config);
    const before = await snapshot(host);
    await attachPod(host, 'b', config);
    await attachPod(host, 'c', config);
    await host.shell(script);
    const outcome = await collect([a.attachment], key);
    expectDone(outcome);
    expect(outcome.stdout).toBe('');
    const { added, removed } = leftovers(before, await snapshot(host));
    // The index of addresses has a's line in a file that is shared, and which GC writes anew.
    const own = (line: string): boolean => !line.includes(a.attachment.containerId);
    expect(added.filter((line) => own(line) && !/^netns [bc]/.test(line))).toEqual([]);
    if (script === 'true') {
      expect(removed.filter(own)).toEqual([]);
      await a.attachment.check();
    }
    expect(await ping(a.pod, '10.10.0.1')).toBe(true);
    expectDone(await collect([a.attachment], key));
    // What is collected can come again, and DEL of it is no error.
    await new Attachment(host, await host.addPod('d'), config).add();
  });

  test('frees all with an empty list', async () => {
    const before = await snapshot(host);
    const a = await attachPod(host, 'a', config);
    expectDone(await collect([]));
    await a.attachment.del();
    await a.pod.remove();
    expect(leftovers(before, await snapshot(host), keptBridge('cni0'))).toEqual(nothing);
  });

  test('tells interfaces of one container apart', async () => {
    const { pod, attachment } = await attachPod(host, 'a', config);
    const second = new Attachment(host, pod, config, { containerId: attachment.containerId, ifname: 'net1' });
    await second.add();
    expectDone(await collect([second]));
    expect(await linkNames(pod)).toEqual(['lo', 'net1']);
    expect(await reservations(host, 'collected')).toEqual(second.addresses);
    await second.check();
  });

  test('leaves other networks alone, also one whose name begins alike and that shares the bridge', async () => {
    const names = ['collected-2', 'collecte', 'other'];
    const others: Attachment[] = [];
    for (const [index, name] of names.entries()) {
      const other = {
        ...config,
        name,
        forceAddress: true,
        ipam: { type: 'host-local', subnet: `10.2${index}.0.0/24` },
      };
      others.push((await attachPod(host, name, other)).attachment);
    }
    await attachPod(host, 'mine', config).catch(() => undefined);
    const forced = new Attachment(host, await host.addPod('forced'), { ...config, forceAddress: true });
    await forced.add();
    expectDone(await collect([]));
    expect(await reservations(host, 'collected')).toEqual([]);
    for (const other of others) {
      expect(await linkNames(host)).toContain(other.port);
      expect(await reservations(host, other.config.name)).toEqual(other.addresses);
      // The last network to force its address onto the bridge has it.
      if (config.type === 'ptp') await other.check();
    }
  });

  test('leaves a link whose alias names another network, also where a record of ours names it', async () => {
    const { attachment } = await attachPod(host, 'a', config);
    await host.exec(['ip', 'link', 'set', attachment.port, 'alias', 'podwire:other/a/eth0']);
    expectDone(await collect([]));
    expect(await linkNames(host)).toContain(attachment.port);
  });

  test.for([undefined, null, 'none', [{}], [{ containerID: 'a' }], [1]].map((list) => ({ list })))(
    'does nothing with the list $list',
    async ({ list }) => {
      const { attachment } = await attachPod(host, 'a', config);
      const before = await snapshot(host);
      const gc = new Attachment(host, '', config);
      const { error } = await gc.attempt('GC', { config: { ...config, 'cni.dev/valid-attachments': list } });
      expect(error?.code).toBe(7);
      expect(error?.msg).toContain('attachments');
      expect(leftovers(before, await snapshot(host))).toEqual(nothing);
      await attachment.check();
    },
  );

  test('is not known before 1.1.0', async () => {
    const { error } = await collect([], 'cni.dev/valid-attachments', { ...config, cniVersion: '1.0.0' });
    expect(error?.code).toBe(1);
  });
});
