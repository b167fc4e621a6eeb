import { describe, expect, test } from 'vitest';
import {
  addressValue,
  concatenation,
  formatKey,
  ifnameValue,
  macValue,
  portValue,
  protocolValue,
} from './nft-values.ts';

describe('values', () => {
  test('an IPv4 address', () => {
    expect(addressValue('10.1.0.2')).toEqual({ text: '10.1.0.2', bytes: new Uint8Array([10, 1, 0, 2]) });
  });

  test('an IPv6 address', () => {
    const { text, bytes } = addressValue('fd00:1::2');
    expect(text).toBe('fd00:1::2');
    expect(Buffer.from(bytes).toString('hex')).toBe('fd000001000000000000000000000002');
  });

  test('a MAC address', () => {
    expect(macValue('02:0A:00:00:00:01')).toEqual({
      text: '02:0a:00:00:00:01',
      bytes: new Uint8Array([2, 10, 0, 0, 0, 1]),
    });
  });

  test('an interface name is quoted, and filled to the size of the kernel', () => {
    const { text, bytes } = ifnameValue('veth1');
    expect(text).toBe('"veth1"');
    expect(Buffer.from(bytes).toString('latin1')).toBe(`veth1${'\0'.repeat(11)}`);
  });

  test.each(['', 'a"b', 'a*', '{', 'a b', '$x', 'sixteen-letters0'])(
    'an interface named %j is refused',
    (name) => {
      expect(() => ifnameValue(name)).toThrow(TypeError);
    },
  );

  test.each(['10.1.0', 'fd00::/64', '10.1.0.2 } ; flush ruleset', ''])(
    'the address %j is refused',
    (address) => {
      expect(() => addressValue(address)).toThrow(TypeError);
    },
  );

  test.each([
    ['tcp', 6],
    ['udp', 17],
    ['sctp', 132],
  ])('the protocol %s', (name, number) => {
    expect(protocolValue(name)).toEqual({ text: name, bytes: Uint8Array.of(number) });
  });

  test('a port is in network byte order', () => {
    expect(portValue(8080)).toEqual({ text: '8080', bytes: Uint8Array.of(0x1f, 0x90) });
  });

  test.each(['icmp', 'tcp }', ''])('the protocol %j is refused', (name) => {
    expect(() => protocolValue(name)).toThrow(TypeError);
  });

  test.each([-1, 65_536, 1.5, Number.NaN])('the port %j is refused', (port) => {
    expect(() => portValue(port)).toThrow(TypeError);
  });

  test('a concatenation pads every part to 4 bytes', () => {
    const { text, bytes } = concatenation(ifnameValue('v'), macValue('02:00:00:00:00:01'));
    expect(text).toBe('"v" . 02:00:00:00:00:01');
    expect(bytes.length).toBe(24);
    expect([...bytes.subarray(16)]).toEqual([2, 0, 0, 0, 0, 1, 0, 0]);
  });
});

describe('formatKey', () => {
  test.each([
    ['ipv4_addr', addressValue('10.1.0.2')],
    ['ipv6_addr', addressValue('fd00:1::2')],
    ['ifname', ifnameValue('veth12345678')],
    ['ether_addr', macValue('02:00:00:00:00:01')],
    [
      'ipv4_addr . inet_proto . inet_service',
      concatenation(addressValue('192.0.2.1'), protocolValue('sctp'), portValue(8080)),
    ],
    ['ifname . ether_addr', concatenation(ifnameValue('veth1'), macValue('02:00:00:00:00:01'))],
  ])('%s comes back as it went in', (type, { text, bytes }) => {
    expect(formatKey(type, bytes)).toBe(text);
  });

  test('a type that is not known is refused', () => {
    expect(() => formatKey('mark', new Uint8Array(4))).toThrow(TypeError);
  });
});
