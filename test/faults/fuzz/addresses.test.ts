import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  contains,
  firstHostOf,
  formatAddress,
  formatCidr,
  lastOf,
  networkOf,
  parseAddress,
  parseCidr,
} from '../../../shared/kernel/address-math.ts';
import { hostileText } from './hostile.ts';
import { holds } from './settings.ts';

describe('address arithmetic', () => {
  test('text and value are two forms of one address', () => {
    holds(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        const address = parseAddress(text);
        if (address === undefined) throw new Error(`${text} was not understood`);
        const written = formatAddress(address);
        expect(parseAddress(written)).toEqual(address);
        expect(formatAddress(parseAddress(written) ?? address)).toBe(written);
      }),
      2000,
    );
  });

  test('any other text is refused, and what is not is written as a prefix that is read the same', () => {
    const text = fc.oneof(
      hostileText,
      fc.tuple(hostileText, hostileText).map((parts) => parts.join('/')),
      fc.ipV6().map((ip) => `${ip}/96`),
    );
    holds(
      fc.property(text, (given) => {
        const address = parseAddress(given);
        if (address !== undefined) expect(parseAddress(formatAddress(address))).toEqual(address);
        const cidr = parseCidr(given);
        if (cidr === undefined) return;
        expect(parseCidr(formatCidr(cidr))).toEqual(cidr);
        const network = networkOf(cidr);
        expect(contains(network, cidr)).toBe(true);
        expect(contains(network, lastOf(cidr))).toBe(true);
        expect(networkOf({ ...cidr, ...lastOf(cidr) })).toEqual(network);
        if (cidr.prefixLength < (cidr.family === 4 ? 32 : 128))
          expect(contains(network, firstHostOf(cidr))).toBe(true);
      }),
      4000,
    );
  });
});
