import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { FdbState, NeighbourState } from '../kernel/neighbour-message.ts';
import type { RouteState } from '../kernel/route-message.ts';
import { diffEntries, isInPlace, sizeOf } from './diff.ts';
import type { Devices, PresentEntries, WantedEntries, WantedRoute } from './entries.ts';
import { presentOf } from './present.ts';

const devices: Devices = { vtep: 9, underlay: 2 };
const FOREIGN_DEVICE = 5;
const nothing: PresentEntries = { routes: [], neighbours: [], fdb: [] };

const prefixes = ['10.1.0.0/24', '10.2.0.0/24', '10.3.0.0/24', 'fd00:1::/64', 'fd00:2::/64'];
const addresses = ['10.1.0.0', '10.2.0.0', 'fe80::1', 'fe80::2'];
const macs = ['02:00:00:00:00:01', '02:00:00:00:00:02', '02:00:00:00:00:03'];
const hosts = ['198.51.100.1', '198.51.100.2'];

const gatewayFor = (dst: string, n: number) => (dst.includes(':') ? `fe80::${n}` : `10.${n}.0.0`);
const wantedRoute: fc.Arbitrary<WantedRoute> = fc
  .tuple(fc.constantFrom(...prefixes), fc.integer({ min: 1, max: 3 }), fc.constantFrom('vtep', 'underlay'))
  .map(([dst, n, over]) => ({ dst, via: gatewayFor(dst, n), over: over as WantedRoute['over'] }));
const wanted: fc.Arbitrary<WantedEntries> = fc
  .record({
    routes: fc.array(wantedRoute, { maxLength: 4 }),
    neighbours: fc.array(fc.tuple(fc.constantFrom(...addresses), fc.constantFrom(...macs)), { maxLength: 3 }),
    fdb: fc.array(fc.tuple(fc.constantFrom(...macs), fc.constantFrom(...hosts)), { maxLength: 3 }),
  })
  .map(({ routes, neighbours, fdb }) => ({
    routes: new Map(routes.map((route) => [route.dst, route])),
    neighbours: new Map(neighbours),
    fdb: new Map(fdb),
  }));

const route: fc.Arbitrary<RouteState> = fc
  .record({
    dst: fc.constantFrom(...prefixes),
    via: fc.integer({ min: 1, max: 3 }),
    linkIndex: fc.constantFrom(devices.vtep, devices.vtep, devices.underlay, FOREIGN_DEVICE),
    protocol: fc.constantFrom(112, 112, 3, 4),
    metric: fc.constantFrom(0, 0, 0, 50),
    table: fc.constantFrom(254, 254, 254, 100),
    scope: fc.constant(0),
    onlink: fc.boolean(),
  })
  .map(({ via, metric, ...rest }) => {
    const priority = metric || (rest.dst.includes(':') ? 1024 : 0);
    return { ...rest, gateway: gatewayFor(rest.dst, via), ...(priority === 0 ? {} : { priority }) };
  });
const neighbour: fc.Arbitrary<NeighbourState> = fc.record({
  address: fc.constantFrom(...addresses),
  mac: fc.constantFrom(...macs),
  state: fc.constantFrom(0x80, 0x80, 0x02, 0x40),
  flags: fc.constant(0),
});
const fdb: fc.Arbitrary<FdbState> = fc
  .record({
    mac: fc.constantFrom(...macs),
    dst: fc.constantFrom(...hosts),
    port: fc.constantFrom(undefined, undefined, 4789),
    state: fc.constantFrom(0x80, 0x80, 0x02),
    flags: fc.constant(2),
  })
  .map(({ port, ...rest }) => (port === undefined ? rest : { ...rest, port }));

/** The kernel's tables, as far as they matter; each has of one rank one entry. */
interface Model {
  routes: RouteState[];
  neighbours: NeighbourState[];
  fdb: FdbState[];
}

const rankOf = ({ dst, table, priority }: RouteState) => `${dst} ${table} ${priority ?? 0}`;
const model: fc.Arbitrary<Model> = fc.record({
  routes: fc.uniqueArray(route, { maxLength: 8, selector: rankOf }),
  neighbours: fc.uniqueArray(neighbour, { maxLength: 4, selector: ({ address }) => address }),
  fdb: fc.uniqueArray(fdb, { maxLength: 5, selector: ({ mac, dst, port }) => `${mac} ${dst} ${port}` }),
});

const isOurs = ({ linkIndex, protocol }: RouteState) => linkIndex === devices.vtep || protocol === 112;

/** What `readEntries` would tell of the model. */
const read = ({ routes, ...rest }: Model): PresentEntries => ({ ...rest, routes: routes.filter(isOurs) });

/** Carries changes out as the kernel does: `add` fails where something is, `replace` replaces the first. */
const apply = (before: Model, changes: ReturnType<typeof diffEntries>, all: WantedEntries): Model => {
  const after: Model = {
    routes: [...before.routes],
    neighbours: [...before.neighbours],
    fdb: [...before.fdb],
  };
  const made = presentOf(
    { ...all, neighbours: new Map(changes.neighbours), fdb: new Map(changes.fdb) },
    devices,
  );
  const routeTo = (dst: string) => made.routes.find((one) => one.dst === dst) as RouteState;
  for (const entry of made.fdb) {
    const at = after.fdb.findIndex(({ mac }) => mac === entry.mac);
    if (at < 0) after.fdb.push(entry);
    else after.fdb[at] = entry;
  }
  for (const entry of made.neighbours) {
    after.neighbours = after.neighbours.filter(({ address }) => address !== entry.address);
    after.neighbours.push(entry);
  }
  for (const { dst } of changes.replacedRoutes) {
    const at = after.routes.findIndex((one) => one.dst === dst && isInPlace(one));
    expect(isOurs(after.routes[at] as RouteState)).toBe(true);
    after.routes[at] = routeTo(dst);
  }
  for (const { dst } of changes.addedRoutes) {
    if (!after.routes.some((one) => one.dst === dst && isInPlace(one))) after.routes.push(routeTo(dst));
  }
  for (const stale of changes.staleRoutes) after.routes.splice(after.routes.indexOf(stale), 1);
  after.neighbours = after.neighbours.filter(({ address }) => !changes.staleNeighbours.includes(address));
  for (const stale of changes.staleFdb) after.fdb.splice(after.fdb.indexOf(stale), 1);
  return after;
};

describe('the difference', () => {
  test('makes any tables the wanted ones, and touches nothing foreign', () => {
    fc.assert(
      fc.property(model, wanted, (before, entries) => {
        const after = apply(before, diffEntries(read(before), entries, devices), entries);
        expect(after.routes.filter((one) => !isOurs(one))).toEqual(
          before.routes.filter((one) => !isOurs(one)),
        );
        const taken = new Set(
          after.routes.filter((one) => !isOurs(one) && isInPlace(one)).map(({ dst }) => dst),
        );
        const routes = new Map([...entries.routes].filter(([dst]) => !taken.has(dst)));
        expect(sizeOf(diffEntries(read(after), { ...entries, routes }, devices))).toBe(0);
        expect(after.routes.filter(isOurs)).toHaveLength(routes.size);
        expect(after.fdb.map(({ mac, dst }) => `${mac} ${dst}`).sort()).toEqual(
          [...entries.fdb].map(([mac, dst]) => `${mac} ${dst}`).sort(),
        );
      }),
      { numRuns: 5000 },
    );
  });

  test('of what is in force to itself is nothing', () => {
    fc.assert(
      fc.property(wanted, (entries) => {
        expect(sizeOf(diffEntries(presentOf(entries, devices), entries, devices))).toBe(0);
      }),
    );
  });

  test('leaves to the kernel what it looks for itself, and multicast', () => {
    const neighbours = [
      { address: '10.9.0.0', state: 0x20, flags: 0 },
      { address: '224.0.0.22', mac: '01:00:5e:00:00:16', state: 0x40, flags: 0 },
    ];
    const none: WantedEntries = { routes: new Map(), neighbours: new Map(), fdb: new Map() };
    expect(sizeOf(diffEntries({ ...nothing, neighbours }, none, devices))).toBe(0);
  });

  test('replaces a route with several next hops, and removes a stale one as a whole', () => {
    const hop = (linkIndex: number): RouteState => ({
      ...{ dst: '10.1.0.0/24', gateway: '10.1.0.0', linkIndex, hops: 2, table: 254, scope: 0 },
      ...{ protocol: 112, onlink: true },
    });
    const routes = [hop(devices.vtep), hop(devices.underlay)];
    const entries: WantedEntries = {
      routes: new Map([['10.1.0.0/24', { dst: '10.1.0.0/24', via: '10.1.0.0', over: 'vtep' }]]),
      neighbours: new Map(),
      fdb: new Map(),
    };
    expect(diffEntries({ ...nothing, routes }, entries, devices)).toMatchObject({
      ...{ replacedRoutes: [{ dst: '10.1.0.0/24' }], addedRoutes: [], staleRoutes: [] },
    });
    const none = { ...entries, routes: new Map() };
    expect(diffEntries({ ...nothing, routes }, none, devices).staleRoutes).toHaveLength(1);
  });
});
