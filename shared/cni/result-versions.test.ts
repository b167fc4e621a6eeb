import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { supportedVersions } from './about.ts';
import { formatResult, parseJsonOutput, parseResult } from './result-versions.ts';
import type { JsonObject, Result } from './types.ts';

const ipv4 = fc.ipV4().map((address) => ({ address, bits: 32 }));
const ipv6 = fc
  .array(fc.integer({ min: 1, max: 0xffff }), { minLength: 8, maxLength: 8 })
  .map((words) => ({ address: words.map((word) => word.toString(16)).join(':'), bits: 128 }));
const address = fc.oneof(ipv4, ipv6).map(({ address }) => address);
const cidr = fc
  .oneof(ipv4, ipv6)
  .chain(({ address, bits }) => fc.integer({ min: 0, max: bits }).map((length) => `${address}/${length}`));
const text = fc.string({ minLength: 1, maxLength: 10 });
const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });
const texts = fc.array(text, { minLength: 1, maxLength: 3 });
const sparse = { requiredKeys: [] as never[] };

const results: fc.Arbitrary<Result> = fc.record({
  interfaces: fc.array(
    fc
      .record(
        { mac: text, mtu: fc.integer({ min: 1, max: 65_535 }), sandbox: text, socketPath: text, pciID: text },
        sparse,
      )
      .chain((rest) => text.map((name) => ({ name, ...rest }))),
    { maxLength: 4 },
  ),
  ips: fc.array(
    fc
      .record({ gateway: address, interface: fc.integer({ min: 0, max: 5 }) }, sparse)
      .chain((rest) => cidr.map((address) => ({ address, ...rest }))),
    { maxLength: 4 },
  ),
  routes: fc.array(
    fc
      .record(
        {
          gw: address,
          mtu: uint32,
          advmss: uint32,
          priority: uint32,
          table: uint32,
          scope: fc.constantFrom(0, 253, 254),
        },
        sparse,
      )
      .chain((rest) => cidr.map((dst) => ({ dst, ...rest }))),
    { maxLength: 4 },
  ),
  dns: fc.record({ nameservers: texts, domain: text, search: texts, options: texts }, sparse),
});

const printed = (result: Result, version: string): JsonObject =>
  JSON.parse(JSON.stringify(formatResult(result, version))) as JsonObject;
const isIpv4 = (cidr: string): boolean => !cidr.includes(':');

describe('a result, printed and read again', () => {
  test.each(['1.0.0', '1.1.0'])('loses nothing in %s', (version) => {
    fc.assert(
      fc.property(results, (result) => {
        expect(parseResult(printed(result, version), '0.1.0')).toEqual(result);
      }),
    );
  });

  test.each(['0.3.0', '0.3.1', '0.4.0'])('loses in %s what came later', (version) => {
    fc.assert(
      fc.property(results, (result) => {
        const json = printed(result, version);
        expect(json).toHaveProperty('dns');
        expect(parseResult(json, '1.1.0')).toEqual({
          interfaces: result.interfaces.map(({ mtu, socketPath, pciID, ...rest }) => rest),
          ips: result.ips,
          routes: result.routes.map(({ dst, gw }) => (gw === undefined ? { dst } : { dst, gw })),
          dns: result.dns,
        });
      }),
    );
  });

  test.each(['0.1.0', '0.2.0'])(
    'keeps in %s the first address of each family, and the routes of these',
    (version) => {
      fc.assert(
        fc.property(
          results.filter(({ ips }) => ips.length > 0),
          (result) => {
            const json = printed(result, version);
            expect(json).toHaveProperty('dns');
            const kept = [true, false].flatMap(
              (family) => result.ips.find(({ address }) => isIpv4(address) === family) ?? [],
            );
            const read = parseResult(json, version);
            expect(read.interfaces).toEqual([]);
            expect(read.ips).toEqual(kept.map(({ interface: _, ...rest }) => rest));
            const families = kept.map(({ address }) => isIpv4(address));
            expect(read.routes.map(({ dst }) => dst)).toEqual(
              families.flatMap((family) =>
                result.routes.filter(({ dst }) => isIpv4(dst) === family).map(({ dst }) => dst),
              ),
            );
            expect(read.dns).toEqual(result.dns);
          },
        ),
      );
    },
  );

  test('is the same after one more turn, in every version', () => {
    fc.assert(
      fc.property(
        results.filter(({ ips }) => ips.length > 0),
        fc.constantFrom(...supportedVersions),
        (result, version) => {
          const once = printed(result, version);
          expect(printed(parseResult(once, '1.1.0'), version)).toEqual(once);
          expect(once.cniVersion).toBe(version);
        },
      ),
    );
  });
});

describe('formatResult', () => {
  const empty: Result = { interfaces: [], ips: [], routes: [], dns: {} };

  test('can not express a result without address up to 0.2.0', () => {
    for (const version of ['0.1.0', '0.2.0'])
      expect(() => formatResult(empty, version)).toThrow(`"${version}"`);
    expect(formatResult(empty, '0.3.0')).toEqual({ cniVersion: '0.3.0', dns: {} });
    expect(formatResult(empty, '1.1.0')).toEqual({ cniVersion: '1.1.0' });
  });

  test('tells the family of an address up to 0.4.0', () => {
    const ips = [{ address: '10.1.0.5/16' }, { address: 'fd00::5/64' }];
    expect(formatResult({ ...empty, ips }, '0.4.0').ips).toMatchObject([{ version: '4' }, { version: '6' }]);
    expect(formatResult({ ...empty, ips }, '1.0.0').ips).toEqual(ips);
  });
});

describe('parseResult', () => {
  test.each([
    { ips: 5 },
    { ips: [{}] },
    { ips: [{ address: '10.1.0.5' }] },
    { ips: [{ address: '10.1.0.5/33' }] },
    { ips: [{ address: '10.1.0.5/16', gateway: '10.1' }] },
    { ips: [{ address: '10.1.0.5/16', interface: '0' }] },
    { routes: [{ dst: 'default' }] },
    { routes: [{ dst: '0.0.0.0/0', gw: 'x; reboot' }] },
    { routes: [{ dst: '0.0.0.0/0', mtu: -1 }] },
    { routes: [{ dst: '0.0.0.0/0', scope: 256 }] },
    { interfaces: [{ name: 5 }] },
    { dns: { nameservers: [5] } },
  ])('refuses %j', (json) => {
    expect(() => parseResult(json as JsonObject, '1.1.0')).toThrow('invalid configuration');
  });
});

describe('parseJsonOutput', () => {
  test('takes one JSON object and nothing else', () => {
    expect(parseJsonOutput(' {"a": 1}\n')).toEqual({ a: 1 });
    for (const output of ['', '[]', '5', 'null', '{}{}', 'x{}'])
      expect(parseJsonOutput(output)).toBeUndefined();
  });
});
