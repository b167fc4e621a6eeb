import { expect, test } from 'vitest';
import type { JsonObject } from '../../shared/cni/types.ts';
import { formatAddress } from '../../shared/kernel/address-math.ts';
import { testCall } from '../test-call.ts';
import { addressSets, ipConfigOf } from './address-sets.ts';
import { parseHostLocal, parsePlace } from './config.ts';
import { formatRange } from './range.ts';

const parse = (ipam: object, more: object = {}, args = '') => {
  const { config, env } = testCall({ config: { ipam, ...more } as JsonObject, args });
  return parseHostLocal(config, env);
};
const rangesOf = (ipam: object, more: object = {}) =>
  parse(ipam, more).sets.map((set) => set.map(formatRange));
const requestedIn = (more: object, args = '') =>
  parse({ subnet: '10.1.0.0/24' }, more, args).requested.map(formatAddress);

test('sets are numbered: capability, single range, list', () => {
  expect(
    rangesOf(
      {
        subnet: '10.1.0.0/24',
        rangeEnd: '10.1.0.9',
        ranges: [[{ subnet: '10.2.0.0/24' }, { subnet: '10.3.0.0/24' }]],
      },
      { runtimeConfig: { ipRanges: [[{ subnet: 'fd00::/64' }]] } },
    ),
  ).toEqual([
    ['fd00::1-fd00::ffff:ffff:ffff:ffff'],
    ['10.1.0.1-10.1.0.9'],
    ['10.2.0.1-10.2.0.254', '10.3.0.1-10.3.0.254'],
  ]);
});

test('a rangeStart in ipam without a subnet is ignored, as in the reference', () => {
  expect(rangesOf({ rangeStart: '10.9.0.1', ranges: [[{ subnet: '10.2.0.0/24' }]] })).toEqual([
    ['10.2.0.1-10.2.0.254'],
  ]);
});

test.each([
  ['no ipam', undefined, '"ipam"'],
  ['no range', {}, 'no range to allocate from'],
  ['empty ranges', { ranges: [] }, 'no range to allocate from'],
  ['ranges of the wrong type', { ranges: 'x' }, '"ipam.ranges"'],
  ['an empty set', { ranges: [[]] }, '"ipam.ranges" must be a list of lists'],
  ['a flat list', { ranges: [{ subnet: '10.1.0.0/24' }] }, '"ipam.ranges" must be a list of lists'],
  ['a set of strings', { ranges: [['10.1.0.0/24']] }, '"ipam.ranges" must hold objects'],
  [
    'mixed families',
    { ranges: [[{ subnet: '10.1.0.0/24' }, { subnet: 'fd00::/64' }]] },
    'must not mix IPv4 and IPv6',
  ],
  ['overlap in a set', { ranges: [[{ subnet: '10.1.0.0/24' }, { subnet: '10.1.0.0/16' }]] }, 'overlap'],
  ['overlap of sets', { subnet: '10.1.0.0/24', ranges: [[{ subnet: '10.1.0.0/24' }]] }, 'overlap'],
  ['a wrong route', { subnet: '10.1.0.0/24', routes: [{ dst: '10.0.0.0' }] }, '"ipam.routes[0].dst"'],
  ['a wrong resolvConf', { subnet: '10.1.0.0/24', resolvConf: 1 }, '"ipam.resolvConf"'],
])('%s is refused', (_, ipam, message) => {
  expect(() => parse(ipam as object)).toThrow(
    expect.objectContaining({ code: 7, message: expect.stringContaining(message) }),
  );
});

test('more than one address of a family needs cniVersion 0.3.0', () => {
  const ipam = { ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: '10.2.0.0/24' }]] };
  for (const cniVersion of ['0.1.0', '0.2.0']) {
    expect(() => parse(ipam, { cniVersion })).toThrow(expect.objectContaining({ code: 7 }));
  }
  expect(parse(ipam, { cniVersion: '0.3.0' }).sets).toHaveLength(2);
  const dual = { ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: 'fd00::/64' }]] };
  expect(parse(dual, { cniVersion: '0.1.0' }).sets).toHaveLength(2);
});

test('dataDir and name make the place; an empty dataDir is the default', () => {
  const place = (ipam: JsonObject) => parsePlace(testCall({ config: { ipam } }).config).directory;
  expect(place({ dataDir: '/x/y' })).toBe('/x/y/testnet');
  expect(place({ dataDir: '' })).toBe('/var/lib/cni/networks/testnet');
  expect(place({})).toBe('/var/lib/cni/networks/testnet');
});

test('requested addresses come from all three places, each once', () => {
  expect(
    requestedIn(
      {
        args: { cni: { ips: ['10.1.0.8/16', '10.1.0.7'] } },
        runtimeConfig: { ips: ['FD00::0:1/64', '10.1.0.8'] },
      },
      'IP=10.1.0.7/24',
    ),
  ).toEqual(['10.1.0.7', '10.1.0.8', 'fd00::1']);
  expect(requestedIn({}, 'IP=')).toEqual([]);
  expect(requestedIn({})).toEqual([]);
});

test('a requested address that is none is refused with its source', () => {
  expect(() => requestedIn({}, 'IP=10.1.0')).toThrow(expect.objectContaining({ code: 4 }));
  expect(() => requestedIn({ args: { cni: { ips: ['x'] } } })).toThrow(/"args\.cni\.ips".*"x" is none/);
  expect(() => requestedIn({ runtimeConfig: { ips: ['10.1.0.1/33'] } })).toThrow(/"runtimeConfig\.ips"/);
  expect(() => requestedIn({ runtimeConfig: { ips: [''] } })).toThrow(expect.objectContaining({ code: 7 }));
});

test('each set gets the first requested address in it; one left over is an error', () => {
  const ipam = { ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: 'fd00::/64' }]] };
  const assign = (ips: string[]) =>
    addressSets(parse(ipam, { runtimeConfig: { ips } })).map(
      ({ requested }) => requested && formatAddress(requested),
    );
  expect(assign(['fd00::7', '10.1.0.7'])).toEqual(['10.1.0.7', 'fd00::7']);
  expect(assign(['fd00::7'])).toEqual([undefined, 'fd00::7']);
  expect(() => assign(['10.1.0.7', '10.1.0.8'])).toThrow(/10\.1\.0\.8/);
  expect(() => assign(['10.2.0.7'])).toThrow(expect.objectContaining({ code: 102 }));
  expect(() => assign(['10.1.0.1'])).toThrow(/10\.1\.0\.1 is the gateway's/);
  expect(() => assign(['10.1.0.255'])).toThrow(expect.objectContaining({ code: 102 }));
});

test('an address is given with the prefix and gateway of its range', () => {
  const { sets } = parse({
    ranges: [[{ subnet: '10.1.0.0/24' }, { subnet: '10.2.0.0/16', gateway: '10.2.9.9' }]],
  });
  const give = (value: bigint) => ipConfigOf(sets[0] ?? [], { family: 4, value });
  expect(give(0x0a010005n)).toEqual({ address: '10.1.0.5/24', gateway: '10.1.0.1' });
  expect(give(0x0a020005n)).toEqual({ address: '10.2.0.5/16', gateway: '10.2.9.9' });
});

test('thousands of ranges and requested addresses are read without comparing each with each', () => {
  const address = (index: number): string => `10.${index >> 14}.${(index >> 6) & 255}.${(index & 63) * 4}`;
  const addresses = Array.from({ length: 20_000 }, (_, index) => address(index));
  const ranges = addresses.map((first) => [{ subnet: `${first}/30` }]);
  expect(parse({ ranges: ranges.toReversed() }).sets).toHaveLength(20_000);
  expect(() => parse({ ranges: [...ranges, [{ subnet: '10.0.9.0/24' }]] })).toThrow(/\(set 20000\) overlap/);
  const ips = [...addresses, ...addresses];
  expect(requestedIn({ args: { cni: { ips } } })).toEqual(addresses);
});
