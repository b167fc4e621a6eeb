import { expect, test } from 'vitest';
import { linkLocalOf, vtepAddresses, vtepDevice, vtepMac } from './vtep.ts';

test('the MAC is the beginning of the SHA-256 of the name, local and unicast', () => {
  // printf node-1 | sha256sum: 35971be6e9bb…
  expect(vtepMac('node-1')).toBe('36:97:1b:e6:e9:bb');
  expect(vtepMac('node-2')).not.toBe(vtepMac('node-1'));
  for (let n = 0; n < 500; n += 1) expect(Number.parseInt(vtepMac(`n${n}`).slice(0, 2), 16) & 3).toBe(2);
});

test('the device has room for any VNI', () => {
  expect(vtepDevice(16777215)).toBe('pwvxlan16777215');
  expect(vtepDevice(16777215).length).toBeLessThanOrEqual(15);
});

test('addresses are the networks of the first prefixes', () => {
  expect(vtepAddresses(['10.1.0.0/24', '10.2.0.0/24', 'fd00:1::/64'])).toEqual({
    4: '10.1.0.0',
    6: 'fd00:1::',
  });
  expect(vtepAddresses(['rubbish'])).toEqual({});
});

test('link-local addresses have the MAC in them, its U bit inverted', () => {
  expect(linkLocalOf('02:11:22:33:44:55')).toBe('fe80::11:22ff:fe33:4455');
  expect(linkLocalOf('aa:00:00:00:00:01')).toBe('fe80::a800:ff:fe00:1');
});
