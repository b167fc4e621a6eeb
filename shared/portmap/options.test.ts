import { describe, expect, test } from 'vitest';
import { Fields } from '../cni/fields.ts';
import type { JsonObject } from '../cni/types.ts';
import { boundPorts, parsePortmapOptions } from './options.ts';

const runtimeConfig = new Fields({ portMappings: [{ hostPort: 8080, containerPort: 80 }] });
const parse = (json: JsonObject) => parsePortmapOptions(new Fields(json), runtimeConfig);

test('the defaults are the reference’s', () => {
  expect(parse({})).toMatchObject({
    backend: undefined,
    snat: true,
    masqAll: false,
    markMasqBit: 13,
    externalSetMarkChain: undefined,
    conditionsV4: [],
    conditionsV6: [],
  });
});

describe('backend', () => {
  test.each([
    [{ backend: 'nftables' }, 'nftables'],
    [{ backend: 'iptables' }, 'iptables'],
    [{ backend: '' }, undefined],
    [{ externalSetMarkChain: 'KUBE-MARK-MASQ' }, 'iptables'],
    [{ conditionsV4: ['-d', '192.0.2.1'] }, 'iptables'],
    [{ conditionsV6: ['!', '-d', '2001:db8::1'] }, 'iptables'],
    [{ conditionsV4: ['ip saddr != 192.0.2.1'] }, 'nftables'],
    [{ conditionsV4: [], conditionsV6: [''] }, undefined],
  ])('%j means %s', (json, backend) => {
    expect(parse(json).backend).toBe(backend);
  });

  test.each([
    [{ backend: 'nftables', externalSetMarkChain: 'X' }, '"externalSetMarkChain" is for iptables'],
    [{ backend: 'nftables', conditionsV6: ['-d', '::1'] }, '"conditionsV6" is for iptables'],
    [{ backend: 'iptables', conditionsV4: ['ip', 'daddr', '1.2.3.4'] }, '"conditionsV4" is for nftables'],
    [{ conditionsV4: ['-d', '1.2.3.4'], conditionsV6: ['ip6 daddr ::1'] }, '"conditionsV6" is for nftables'],
  ])('%j contradicts itself', (json, message) => {
    expect(() => parse(json)).toThrow(message);
  });

  test('another one is an unsupported value', () => {
    expect(() => parse({ backend: 'ebpf' })).toThrow(expect.objectContaining({ code: 2 }));
  });
});

describe('marks', () => {
  test.each([0, 31])('bit %i is one', (markMasqBit) => {
    expect(parse({ markMasqBit }).markMasqBit).toBe(markMasqBit);
  });

  test.each([-1, 32, 1.5, '13'])('%j is not', (markMasqBit) => {
    expect(() => parse({ markMasqBit })).toThrow('"markMasqBit" must be a whole number from 0 to 31');
  });

  test('a bit and a chain that sets one exclude each other', () => {
    expect(() => parse({ markMasqBit: 13, externalSetMarkChain: 'KUBE-MARK-MASQ' })).toThrow(
      'cannot be given together',
    );
  });

  test.each(['', '-j', 'a b', 'a\nb', 'x'.repeat(29), '! -d', 'a"b'])('%j is no chain', (name) => {
    expect(() => parse({ externalSetMarkChain: name })).toThrow('must be the name of a chain');
  });
});

describe('conditions cannot end the line they stand in', () => {
  test.each([
    'ip saddr 10.0.0.1 ; flush ruleset',
    'ip saddr 10.0.0.1\nflush ruleset',
    'ip saddr 10.0.0.1 # ',
    'ip saddr 10.0.0.1 \\',
    'iifname "eth0',
    'ip saddr { 10.0.0.1',
    'ip saddr 10.0.0.1 } {',
    'ip saddr $address',
  ])('nft: %j', (text) => {
    expect(() => parse({ conditionsV4: [text] })).toThrow('conditionsV4');
    expect(() => parse({ conditionsV4: text.split(' ') })).toThrow('conditionsV4');
  });

  test.each(['-d 1.2.3.4\n-A INPUT -j ACCEPT', '-d\r', '-d\0'])('iptables: %j', (text) => {
    expect(() => parse({ conditionsV4: [text] })).toThrow('must not contain control characters');
  });

  test.each([
    'ip saddr { 10.0.0.0/8, 192.168.0.0/16 }',
    'iifname "eth0" ip saddr != 10.0.0.1',
    'meta mark 0x1',
  ])('ordinary ones pass: %s', (text) => {
    expect(parse({ conditionsV4: text.split(' ') }).conditionsV4.join(' ')).toBe(text);
  });
});

test('what another attachment of the container has is left out', () => {
  const options = { ...parse({}), except: ['tcp port 8080 of any IPv4 address'] };
  expect(boundPorts(options, [4, 6]).map(({ family }) => family)).toEqual([6]);
});
