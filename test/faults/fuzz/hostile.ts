import fc from 'fast-check';
import type { JsonValue } from '../../../shared/cni/types.ts';

/** Stands for nesting that JSON.parse reads and JSON.stringify would not write; `toText` puts it in. */
export const deepMark = '@deep@';

const texts = [
  ...['', ' ', '\0', 'a\0b', '\n', 'a\nb', 'a\r\nb', '\t', '\u001b[31m', '\u2028', '\u202e', '\ufeff'],
  ...[
    '"',
    "'",
    '\\',
    '#',
    ';',
    ',',
    '=',
    '{ }',
    '}',
    'a b',
    '$(id)',
    '`id`',
    '%d',
    'eth%d',
    '-batch',
    '--help',
  ],
  ...['.', '..', '/', '//', '../../run', '/proc/self/ns/net', '/dev/null', '/run', '/nonexistent/x'],
  ...['\ud800', 'x\udfff', '🙂', 'é', 'e\u0301', '𝟙', 'ß', 'İ'],
  ...['0', '1', '-1', '1e3', '0x10', 'true', 'false', 'null', 'NaN', '[]', '{}'],
  ...['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'lo', 'eth0', 'cni0', 'default'],
  ...['10.0.0.0/8', '10.0.0.1', '10.0.0.0/33', '10.0.0.1/32', '0.0.0.0/0', '255.255.255.255', '224.0.0.1/4'],
  ...[
    '::/0',
    '::',
    'fe80::1',
    'fe80::1%eth0',
    '::ffff:10.0.0.1',
    '::ffff:10.0.0.1/120',
    'fd00::/129',
    '1::2::3',
  ],
  ...[
    '010.1.1.1',
    '1.2.3',
    '1.2.3.4 ',
    ' fd00::/64',
    'fd00::/64\n',
    'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128',
  ],
  ...['00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff', '01:00:5e:00:00:01', '02:00:00:00:00:0g', '0200.0000.0001'],
  ...['0.1.0', '0.3.1', '1.0.0', '1.1.0', '1.2.0', '9.9.9', 'v1.0.0'],
  ...['host-local', 'static', 'bridge', 'dhcp', 'nftables', 'iptables'],
];

/** Texts that are trouble in one place or another: in paths, shells, batches, JSON, address parsers. */
export const hostileText: fc.Arbitrary<string> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...texts) },
  { weight: 3, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
  { weight: 2, arbitrary: fc.string({ maxLength: 300 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(14, 15, 16, 127, 128, 255, 256, 4096, 70_000).map((n) => 'x'.repeat(n)),
  },
);

const hostileNumber: fc.Arbitrary<number> = fc.oneof(
  fc.constantFrom(
    0,
    -0,
    -1,
    1,
    1.5,
    4094,
    4095,
    65_535,
    65_536,
    2 ** 31,
    2 ** 32,
    2 ** 53,
    1e308,
    -1e308,
    5e-324,
  ),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);

/** A value of any type and size that JSON can carry. */
export const hostileValue: fc.Arbitrary<JsonValue> = fc.oneof(
  { weight: 5, arbitrary: hostileText },
  { weight: 3, arbitrary: hostileNumber },
  {
    weight: 2,
    arbitrary: fc.constantFrom<JsonValue>(null, true, false, [], {}, [[]], [{}], [null], deepMark),
  },
  { weight: 2, arbitrary: fc.array(hostileText, { maxLength: 4 }) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(100, 3000)
      .chain((n) => hostileText.map((text) => repeated(text.slice(0, 40), n))),
  },
  { weight: 2, arbitrary: fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<JsonValue> },
  { weight: 1, arbitrary: fc.dictionary(hostileText, hostileText, { maxKeys: 4 }) },
);

const repeated = (text: string, times: number): JsonValue[] => new Array<string>(times).fill(text);
