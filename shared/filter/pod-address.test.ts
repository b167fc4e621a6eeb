import { expect, test } from 'vitest';
import { podAddress } from './pod-address.ts';

test('clears the host bits and writes canonically', () => {
  expect(podAddress({ address: '10.1.0.2', subnet: '10.1.0.2/16' })).toEqual({
    family: 4,
    address: '10.1.0.2',
    subnet: '10.1.0.0/16',
  });
  expect(podAddress({ address: 'FD00:1:0:0::2', subnet: 'fd00:1:0::7/64' })).toEqual({
    family: 6,
    address: 'fd00:1::2',
    subnet: 'fd00:1::/64',
  });
});

test.each([
  ['10.1.0.2', 'fd00::/64'],
  ['10.1.0.2/16', '10.1.0.0/16'],
  ['10.1.0.2', '10.1.0.0'],
  ['10.1.0.2; flush ruleset', '10.1.0.0/16'],
])('refuses %s in %s', (address, subnet) => {
  expect(() => podAddress({ address, subnet })).toThrow(TypeError);
});
