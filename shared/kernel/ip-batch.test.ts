import { describe, expect, test } from 'vitest';
import { batchFailure } from './batch.ts';
import { IpBatch } from './ip-batch.ts';

describe('IpBatch', () => {
  test('makes lines and leaves out absent words', () => {
    const batch = new IpBatch().add('link', 'set', 'dev', 'eth0', false, 'mtu', 1400, undefined).add(false);
    batch.add('link', 'set', 'dev', 'eth0', 'up');
    expect(batch.size).toBe(2);
    expect(batch.toString()).toBe('link set dev eth0 mtu 1400\nlink set dev eth0 up\n');
  });

  test.each([
    '',
    'a b',
    'a\nb',
    'a\tb',
    'a"b',
    "a'b",
    'a\\',
    '#a',
    'a\0',
    'a\u0085b',
    'a\u00a0b',
    'a\u2028b',
  ])('refuses the word %j', (word) => {
    expect(() => new IpBatch().add('link', 'set', 'dev', word)).toThrow(/cannot be handed to the ip command/);
  });
});

describe('batchFailure', () => {
  const batch = new IpBatch()
    .add('link', 'set', 'dev', 'br0', 'up')
    .add('address', 'add', '10.0.0.1/24', 'dev', 'br0');
  const failure = (stderr: string, exitCode: number) =>
    batchFailure(batch, { stdout: '', stderr, exitCode }, 'preparing br0');

  test('names the line that failed', () => {
    expect(failure('Error: ipv4: Address already assigned.\nCommand failed -:2\n', 1)).toMatchObject({
      code: 100,
      message: 'preparing br0: ip address add failed: ipv4: Address already assigned.',
      details: 'The command was "ip address add 10.0.0.1/24 dev br0".',
    });
  });

  test('shows the whole batch when ip does not say which line', () => {
    expect(failure('Error: argument "x" is wrong: "name" not a valid ifname\n', 255)).toMatchObject({
      message: expect.stringContaining('not a valid ifname'),
      details: expect.stringContaining('link set dev br0 up\naddress add 10.0.0.1/24 dev br0'),
    });
  });
});
