import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { leftovers, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { Attachment, attachPod } from './attachment.ts';
import { reservations, routesOf } from './kernel-state.ts';

const v4 = { address: '10.6.0.5/24', gateway: '10.6.0.1' };
const v6 = { address: 'fd06::5/64', gateway: 'fd06::1' };

describe.for(['bridge', 'ptp'])('routes of %s', (type) => {
  let host: TestHost;
  beforeEach(async () => {
    host = await createHost({ name: 'routes' });
  });
  afterEach(() => host.dispose());

  const configWith = (ipam: object, cniVersion = '1.1.0') => ({ cniVersion, name: 'routes', type, ipam });
  const withRoutes = (routes: object[], addresses: object[] = [v4, v6]) =>
    configWith({ type: 'static', addresses, routes });

  test.for([
    { route: { dst: '192.0.2.0/24' }, applied: { dst: '192.0.2.0/24', gateway: '10.6.0.1' } },
    {
      route: { dst: '192.0.2.0/24', gw: '10.6.0.7' },
      applied: { dst: '192.0.2.0/24', gateway: '10.6.0.7' },
    },
    {
      route: { dst: '0.0.0.0/0', mtu: 1400, advmss: 1300 },
      applied: { dst: 'default', metrics: [{ mtu: 1400, advmss: 1300 }] },
    },
    { route: { dst: '192.0.2.1/32', priority: 55 }, applied: { dst: '192.0.2.1', metric: 55 } },
    { route: { dst: '192.0.2.0/24', table: 77, priority: 5 }, table: '77', applied: { metric: 5 } },
    { route: { dst: '192.0.2.0/24', scope: 253 }, applied: { dst: '192.0.2.0/24', scope: 'link' } },
    { route: { dst: '192.0.2.0/24', table: 0, priority: 0 }, applied: { dst: '192.0.2.0/24' } },
    { route: { dst: '2001:db8::/32' }, applied: { dst: '2001:db8::/32', gateway: 'fd06::1' } },
    {
      route: { dst: '::/0', mtu: 1400, advmss: 1300, priority: 9 },
      applied: { dst: 'default', metric: 9, metrics: [{ mtu: 1400, advmss: 1300 }] },
    },
    { route: { dst: '2001:db8::/32', table: 77 }, table: '77', applied: { dst: '2001:db8::/32' } },
    { route: { dst: '2001:db8::/32', scope: 0, priority: 0 }, applied: { dst: '2001:db8::/32' } },
  ])('$route', async ({ route, applied, table = 'main' }) => {
    const { pod, attachment } = await attachPod(host, 'pod', withRoutes([route]));
    expect(attachment.result?.routes).toEqual([route]);
    const routes = await routesOf(pod, route.dst.includes(':') ? 6 : 4, table);
    expect(routes).toContainEqual(expect.objectContaining(applied));
    await attachment.check();
    if (route.scope === 253)
      expect(routes.find(({ dst }) => dst === route.dst)).not.toHaveProperty('gateway');
    // An older configuration gets the same routes, and a result without what it does not know.
    await attachment.del();
    const old = new Attachment(host, pod, { ...attachment.config, cniVersion: '0.4.0' });
    const { dst, gw } = route as { dst: string; gw?: string };
    expect((await old.add()).routes).toEqual([gw === undefined ? { dst } : { dst, gw }]);
    expect(await routesOf(pod, route.dst.includes(':') ? 6 : 4, table)).toContainEqual(
      expect.objectContaining(applied),
    );
    await old.check();
  });

  test('to one destination by several gateways', async () => {
    const routes = [
      { dst: '192.0.2.0/24', gw: '10.6.0.7' },
      { dst: '192.0.2.0/24', gw: '10.6.0.8' },
      { dst: '2001:db8::/32', gw: 'fd06::7' },
      { dst: '2001:db8::/32', gw: 'fd06::8' },
    ];
    const { pod, attachment } = await attachPod(host, 'pod', withRoutes(routes));
    const gateways = [...(await routesOf(pod, 4)), ...(await routesOf(pod, 6))]
      .filter(({ dst }) => ['192.0.2.0/24', '2001:db8::/32'].includes(dst))
      .flatMap(({ gateway, nexthops = [] }) => [gateway, ...nexthops.map((hop) => hop.gateway)])
      .filter((gateway) => gateway !== undefined);
    expect(gateways.toSorted()).toEqual(['10.6.0.7', '10.6.0.8', 'fd06::7', 'fd06::8']);
    await attachment.check();
    await pod.exec(['ip', '-6', 'route', 'del', '2001:db8::/32', 'via', 'fd06::8']);
    expect(await attachment.finding()).toContain('fd06::8');
  });

  test('by a gateway outside of the subnet', async () => {
    const addresses = [
      { address: '10.6.0.5/32', gateway: '10.99.0.1' },
      { address: 'fd06::5/128', gateway: 'fd99::1' },
    ];
    const routes = [{ dst: '0.0.0.0/0' }, { dst: '::/0' }];
    const { pod, attachment } = await attachPod(host, 'pod', withRoutes(routes, addresses));
    for (const [family, gateway] of [[4, '10.99.0.1'] as const, [6, 'fd99::1'] as const]) {
      expect((await routesOf(pod, family)).find(({ dst }) => dst === 'default')?.gateway).toBe(gateway);
    }
    await attachment.check();
  });

  test.for([
    { dst: '192.0.2.0/24', gw: 'fd06::1' },
    { dst: '192.0.2.7/24' },
    { dst: '192.0.2.0/24', gw: 'nonsense' },
    { dst: '2001:db8::/32', gw: '10.6.0.1' },
  ])('that the kernel refuses undo the ADD: %j', async (route) => {
    const pod = await host.addPod('pod');
    const before = await snapshot(host);
    const ranges = [[{ subnet: '10.6.0.0/24' }], [{ subnet: 'fd06::/64' }]];
    const ipam = { type: 'host-local', ranges, routes: [route] };
    const filtered = { ...configWith(ipam), ipMasq: true, macspoofchk: true };
    const attachment = new Attachment(host, pod, filtered);
    const { error } = await attachment.attempt('ADD');
    expect(error?.code, error?.msg).toBe('gw' in route ? 7 : 100);
    expect(`${error?.msg} ${error?.details}`).toContain(route.gw ?? route.dst);
    expect(await reservations(host, 'routes')).toEqual([]);
    const { added } = leftovers(before, await snapshot(host));
    expect(added.filter((line) => !line.startsWith('link cni0 '))).toEqual([]);
    await attachment.del();
  });

  test('of a default gateway do not double one of IPAM', async () => {
    const ranges = [[{ subnet: '10.6.0.0/24' }], [{ subnet: 'fd06::/64' }]];
    const routes = [{ dst: '0.0.0.0/0' }, { dst: '0::0/0', gw: 'fd06::99' }];
    const ipam = { type: 'host-local', ranges, routes };
    const { pod, attachment } = await attachPod(host, 'pod', { ...configWith(ipam), isDefaultGateway: true });
    expect(attachment.result?.routes).toHaveLength(2);
    expect((await routesOf(pod, 4)).filter(({ dst }) => dst === 'default')).toHaveLength(1);
    const v6 = (await routesOf(pod, 6)).filter(({ dst }) => dst === 'default');
    expect(v6.map(({ gateway }) => gateway)).toEqual(['fd06::99']);
    await attachment.check();
  });
});
