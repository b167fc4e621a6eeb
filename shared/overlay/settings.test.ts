import { expect, test } from 'vitest';
import { Fields } from '../cni/fields.ts';
import type { JsonObject } from '../cni/types.ts';
import { parseOverlaySettings } from './settings.ts';

const parse = (object: JsonObject) => parseOverlaySettings(new Fields(object));

test('settings have defaults', () => {
  expect(parse({})).toEqual({ vni: 1, port: 8472, mode: 'vxlan', underlay: undefined, mtu: undefined });
  const given = { vni: 16777215, port: 4789, mode: 'cross-subnet', underlay: 'eth0', mtu: 1400 } as const;
  expect(parse(given)).toEqual(given);
  expect(parse({ underlay: '2001:DB8::1' }).underlay).toBe('2001:db8::1');
});

test.for<[JsonObject, string]>([
  [{ vni: 0 }, '"vni" must be a whole number from 1 to 16777215, got 0'],
  [{ vni: 16777216 }, '"vni" must be a whole number from 1 to 16777215, got 16777216'],
  [{ port: 65536 }, '"port" must be a whole number from 1 to 65535, got 65536'],
  [{ mode: 'ipip' }, '"mode" must be "vxlan", "direct" or "cross-subnet", got "ipip"'],
  [{ mtu: 575 }, '"mtu" must be a whole number from 576 to 65535, got 575'],
  [
    { underlay: 'eth0 up' },
    '"underlay" must be the name of a network device or an address of one, got "eth0 up"',
  ],
  [
    { underlay: 'a-name-too-long0' },
    '"underlay" must be the name of a network device or an address of one, got "a-name-too-long0"',
  ],
  [{ underlay: '..' }, '"underlay" must be the name of a network device or an address of one, got ".."'],
])('%j is refused', ([object, message]) => {
  expect(() => parse(object)).toThrow(`invalid configuration: ${message}`);
});
