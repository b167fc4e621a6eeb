import { expect, test } from 'vitest';
import { Fields } from '../cni/fields.ts';
import type { JsonObject } from '../cni/types.ts';
import { parseBandwidthForRemoval, parseBandwidthKeys, wantsShaping } from './bandwidth-keys.ts';

const parse = (own: JsonObject, bandwidth?: JsonObject) =>
  parseBandwidthKeys(new Fields(own), bandwidth === undefined ? {} : { bandwidth });

test('rates and bursts of each direction', () => {
  const keys = { ingressRate: 1000, ingressBurst: 2000, egressRate: 3000 };
  expect(parse(keys)).toEqual({ ingress: { rate: 1000, burst: 2000 }, egress: { rate: 3000 } });
  expect(parse({}, keys)).toEqual(parse(keys));
});

test('0 is no limit', () => {
  expect(wantsShaping(parse({ ingressRate: 0, ingressBurst: 0, egressRate: 0 }))).toBe(false);
  expect(wantsShaping(parse({}))).toBe(false);
  expect(wantsShaping(parse({ egressRate: 8 }))).toBe(true);
});

test('the configuration beats the runtime, as a whole', () => {
  expect(parse({ egressRate: 1000 }, { ingressRate: 2000, egressRate: 3000 })).toEqual({
    egress: { rate: 1000 },
  });
  expect(parse({ ingressRate: 0 }, { ingressRate: 2000 })).toEqual({});
  expect(parse({ ingressRate: null }, { ingressRate: 2000 })).toEqual({ ingress: { rate: 2000 } });
});

test('subnets of the configuration go with rates of the runtime', () => {
  const subnets = { unshapedSubnets: ['10.1.2.3/8', 'fd00::1/8', '10.0.0.0/8'] };
  expect(parse(subnets, { ingressRate: 2000 })).toEqual({
    ingress: { rate: 2000 },
    selection: { shaped: false, subnets: ['10.0.0.0/8', 'fd00::/8'] },
  });
  expect(parse({ ingressRate: 2000 }, { shapedSubnets: ['0.0.0.0/0'] })).toEqual({
    ingress: { rate: 2000 },
    selection: { shaped: true, subnets: ['0.0.0.0/0'] },
  });
});

test.each([2 ** 31 - 1, 2 ** 32 - 1, 8 * (2 ** 32 - 1) - 1, 8 * (2 ** 32 - 1)])(
  'the burst %i of a runtime stands for none; of a configuration it is meant',
  (burst) => {
    expect(parse({}, { ingressRate: 1000, ingressBurst: burst })).toEqual({
      ingress: { rate: 1000, placeholder: burst },
    });
    expect(parse({ ingressRate: 1000, ingressBurst: burst })).toEqual({ ingress: { rate: 1000, burst } });
  },
);

test.each<[JsonObject, JsonObject | undefined, RegExp]>([
  [{ ingressBurst: 8 }, undefined, /"ingressBurst" needs "ingressRate", got 8/],
  [
    {},
    { egressBurst: 8 },
    /"runtimeConfig.bandwidth.egressBurst" needs "runtimeConfig.bandwidth.egressRate"/,
  ],
  [{ ingressRate: 7 }, undefined, /"ingressRate" must be at least 8/],
  [{ ingressRate: 1.5 }, undefined, /"ingressRate" must be a whole number/],
  [{ unshapedSubnets: ['10.0.0.1'] }, undefined, /"unshapedSubnets" must be a list of subnets/],
  [{ unshapedSubnets: ['10.0.0.0/8'], shapedSubnets: ['fd00::/8'] }, undefined, /cannot be combined/],
])('%j with %j is refused, but not for a removal', (own, bandwidth, message) => {
  expect(() => parse(own, bandwidth)).toThrow(message);
  expect(parseBandwidthForRemoval(new Fields(own), bandwidth === undefined ? {} : { bandwidth })).toEqual({});
});
