import fc from 'fast-check';
import { expect, test } from 'vitest';
import { supportedVersions } from '../../../shared/cni/about.ts';
import { formatResult, parseJsonOutput, parseResult } from '../../../shared/cni/result-versions.ts';
import type { IpConfig, JsonObject, Result, Route } from '../../../shared/cni/types.ts';
import { isAtLeast } from '../../../shared/cni/versions.ts';
import { orCniError } from './cni-errors.ts';
import { hostileText } from './hostile.ts';
import { mutated } from './mutations.ts';
import { holds } from './settings.ts';

const address4 = fc.ipV4();
const address6 = fc.ipV6();
const cidr = fc.oneof(
  fc.tuple(address4, fc.integer({ min: 0, max: 32 })).map((parts) => parts.join('/')),
  fc.tuple(address6, fc.integer({ min: 96, max: 128 })).map((parts) => parts.join('/')),
);
const address = fc.oneof(address4, address6);
const name = fc.oneof(fc.constantFrom('eth0', 'cni0', 'lo'), hostileText);
const filled = hostileText.filter((text) => text !== '');
const optional = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(value, { nil: undefined });
const number = optional(fc.integer({ min: 1, max: 0xffff_ffff }));

const result = fc
  .record({
    interfaces: fc.array(
      fc.record({
        name,
        mac: optional(filled),
        mtu: number,
        sandbox: optional(filled),
        pciID: optional(filled),
      }),
      { maxLength: 4 },
    ),
    ips: fc.array(
      fc.record({
        address: cidr,
        gateway: optional(address),
        interface: optional(fc.integer({ min: -1, max: 3 })),
      }),
      { maxLength: 4 },
    ),
    routes: fc.array(
      fc.record({
        dst: cidr,
        gw: optional(address),
        mtu: number,
        advmss: number,
        priority: number,
        table: number,
        scope: optional(fc.integer({ min: 0, max: 255 })),
      }),
      { maxLength: 4 },
    ),
    dns: fc.record({
      domain: optional(filled),
      nameservers: optional(fc.array(hostileText, { minLength: 1, maxLength: 3 })),
      search: optional(fc.array(hostileText, { minLength: 1, maxLength: 3 })),
      options: optional(fc.array(hostileText, { minLength: 1, maxLength: 3 })),
    }),
  })
  // Keys without a value are not there, as in a result that was parsed.
  .map((value) => JSON.parse(JSON.stringify(value)) as Result);

const version = fc.constantFrom(...supportedVersions);

test('a result survives being printed and read, as far as its version has room for it', () => {
  holds(
    fc.property(result, version, (given, spoken) => {
      const printed = orCniError(() => formatResult(given, spoken));
      if (printed === undefined) {
        // Only these know no result without an address.
        expect(isAtLeast(spoken, '0.3.0')).toBe(false);
        expect(given.ips).toEqual([]);
        return;
      }
      const text = JSON.stringify(printed);
      const read = parseResult(parseJsonOutput(text) as JsonObject, '1.1.0');
      expect(read).toEqual(inVersion(given, spoken));
      expect(formatResult(read, spoken)).toEqual(printed);
    }),
    1500,
  );
});

test('a result that is spoilt is read, or refused with an error that fits on a line', () => {
  const printed = fc
    .tuple(result, version)
    .map(([given, spoken]) => orCniError(() => formatResult(given, spoken)) ?? { cniVersion: spoken });
  holds(
    fc.property(mutated(printed), version, (bytes, spoken) => {
      const json = parseJsonOutput(new TextDecoder().decode(bytes));
      if (json === undefined) return;
      const read = orCniError(() => parseResult(json, spoken));
      if (read !== undefined) orCniError(() => formatResult(read, spoken));
    }),
    1500,
  );
});

/** What is left of a result in a version: the earlier it is, the less it says. */
const inVersion = (given: Result, spoken: string): Result => {
  if (isAtLeast(spoken, '1.0.0')) return given;
  const routes = given.routes.map(({ dst, gw }): Route => (gw === undefined ? { dst } : { dst, gw }));
  if (isAtLeast(spoken, '0.3.0')) {
    const interfaces = given.interfaces.map(({ name: title, mac, sandbox }) =>
      JSON.parse(JSON.stringify({ name: title, mac, sandbox })),
    );
    return { ...given, interfaces, routes };
  }
  const first = [false, true].flatMap(
    (ipv6) => given.ips.find((ip) => ip.address.includes(':') === ipv6) ?? [],
  );
  return {
    interfaces: [],
    ips: first.map(({ interface: _index, ...ip }): IpConfig => ip),
    routes: first.flatMap((ip) => routes.filter(({ dst }) => dst.includes(':') === ip.address.includes(':'))),
    dns: given.dns,
  };
};
