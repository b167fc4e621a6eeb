import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { keptBridge, leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { Attachment } from './attachment.ts';
import { linkNames, reservations } from './kernel-state.ts';

const ipam = {
  type: 'host-local',
  ranges: [[{ subnet: '10.16.0.0/24' }], [{ subnet: 'fd16::/64' }]],
  routes: [{ dst: '0.0.0.0/0' }],
};
const common = { cniVersion: '1.1.0', name: 'parallel', ipMasq: true, ipam };
const plugins = [
  { ...common, type: 'bridge', isGateway: true, macspoofchk: true },
  { ...common, type: 'ptp' },
];
const count = 50;

describe.for(plugins)('fifty pods at once on $type', (config) => {
  let host: TestHost;
  beforeEach(async () => {
    host = await createHost({ name: 'parallel' });
  });
  afterEach(() => host.dispose());

  test('get addresses of their own on one network, and give them back', async () => {
    const names = Array.from({ length: count }, (_, index) => `pod${index}`);
    await host.shell(names.map((name) => `ip netns add ${name}`).join('\n'));
    const before = await snapshot(host);
    const attachments = names.map((name) => new Attachment(host, `/run/netns/${name}`, config));
    await Promise.all(attachments.map((attachment) => attachment.add()));

    const addresses = attachments.flatMap((attachment) => attachment.addresses);
    expect(new Set(addresses).size).toBe(2 * count);
    expect((await reservations(host, 'parallel')).toSorted()).toEqual(addresses.toSorted());
    const links = (await linkNames(host)).filter((name) => name !== 'lo');
    const bridges = config.type === 'bridge' ? ['cni0'] : [];
    const ports = attachments.map((attachment) => attachment.port);
    expect(links.toSorted()).toEqual([...bridges, ...ports].toSorted());
    expect(new Set(attachments.map(({ result }) => result?.interfaces?.[0]?.mac)).size).toBe(
      config.type === 'bridge' ? 1 : count,
    );
    await Promise.all(attachments.map((attachment) => attachment.check()));

    // The second half goes while the first half comes back under new ids.
    const [going, staying] = [attachments.slice(count / 2), attachments.slice(0, count / 2)];
    await Promise.all(going.map((attachment) => attachment.del()));
    const back = names.slice(count / 2).map((name) => new Attachment(host, `/run/netns/${name}`, config));
    await Promise.all([
      ...back.map((attachment) => attachment.add()),
      ...staying.map((attachment) => attachment.del()),
    ]);
    expect(new Set(back.flatMap((attachment) => attachment.addresses)).size).toBe(count);
    await Promise.all(back.map((attachment) => attachment.check()));
    await Promise.all([...back, ...attachments].map((attachment) => attachment.del()));
    expect(leftovers(before, await snapshot(host), keptBridge('cni0'))).toEqual(nothing);
  });
});

describe('the first pods of a bridge at once', () => {
  test('make it once, with what each of them wants of it', async () => {
    await using host = await createHost({ name: 'first' });
    const names = Array.from({ length: 24 }, (_, index) => `pod${index}`);
    await host.shell(names.map((name) => `ip netns add ${name}`).join('\n'));
    // Without IPAM, whose lock would make them come one after the other.
    const config = { cniVersion: '1.1.0', name: 'first', type: 'bridge', promiscMode: true };
    const attachments = names.map((name) => new Attachment(host, `/run/netns/${name}`, config));
    await Promise.all(attachments.map((attachment) => attachment.add()));
    expect(await linkNames(host)).toHaveLength(2 + names.length);
    expect(new Set(attachments.map(({ result }) => result?.interfaces?.[0]?.mac)).size).toBe(1);
    await Promise.all(attachments.map((attachment) => attachment.check()));
  });
});
