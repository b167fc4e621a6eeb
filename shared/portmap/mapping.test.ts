import { describe, expect, test } from 'vitest';
import { Fields } from '../cni/fields.ts';
import type { JsonValue } from '../cni/types.ts';
import { bindingsOf, describeBinding, parsePortMappings, salvagePortMappings } from './mapping.ts';

const fields = (...portMappings: JsonValue[]): Fields => new Fields({ portMappings }, 'runtimeConfig');
const parse = (...portMappings: JsonValue[]) => parsePortMappings(fields(...portMappings));
const web = { hostPort: 8080, containerPort: 80 };

describe('parsePortMappings', () => {
  test('tcp and any address are the defaults', () => {
    expect(parse(web)).toEqual([{ ...web, protocol: 'tcp', hostIP: '' }]);
    expect(parsePortMappings(new Fields({}))).toEqual([]);
  });

  test.each(['tcp', 'TCP', 'Udp', 'SCTP'])('the protocol %s is known', (protocol) => {
    expect(parse({ ...web, protocol })[0]?.protocol).toBe(protocol.toLowerCase());
  });

  test('host addresses are normalised', () => {
    const hostIPs = ['192.0.2.1', '2001:DB8:0::1', '::ffff:192.0.2.2', '0.0.0.0', '::'];
    const mappings = hostIPs.map((hostIP, index) => ({ ...web, hostPort: index + 1, hostIP }));
    expect(parse(...mappings).map(({ hostIP }) => hostIP)).toEqual([
      '192.0.2.1',
      '2001:db8::1',
      '192.0.2.2',
      '0.0.0.0',
      '::',
    ]);
  });

  test('a host port of 0 asks for none', () => {
    expect(parse({ ...web, hostPort: 0 }, { containerPort: 81 })).toEqual([]);
  });

  test.each([
    [{ ...web, hostPort: -1 }, 'portMappings[0].hostPort'],
    [{ ...web, hostPort: 65_536 }, 'portMappings[0].hostPort'],
    [{ ...web, hostPort: '8080' }, 'portMappings[0].hostPort'],
    [{ ...web, containerPort: 0 }, 'portMappings[0].containerPort'],
    [{ hostPort: 8080 }, 'portMappings[0].containerPort'],
    [{ ...web, protocol: 'icmp' }, 'portMappings[0].protocol'],
    [{ ...web, hostIP: '10.0.0' }, 'portMappings[0].hostIP'],
    [{ ...web, hostIP: '10.0.0.1; flush ruleset' }, 'portMappings[0].hostIP'],
    ['8080:80', 'portMappings'],
  ])('%j is refused', (mapping, key) => {
    expect(() => parse(mapping)).toThrow(`"runtimeConfig.${key}"`);
  });

  test.each([
    [[web, web]],
    [[web, { ...web, containerPort: 81 }]],
    [[web, { ...web, hostIP: '0.0.0.0' }]],
    [[web, { ...web, hostIP: '::' }]],
    [
      [
        { ...web, hostIP: '::1' },
        { ...web, hostIP: '0::1' },
      ],
    ],
  ])('one port asked for twice is refused: %j', (mappings) => {
    expect(() => parse(...mappings)).toThrow('asks for tcp port 8080 of');
    expect(salvagePortMappings(fields(...mappings))).toEqual([]);
  });

  test.each([
    [[web, { ...web, protocol: 'udp' }]],
    [
      [
        { ...web, hostIP: '0.0.0.0' },
        { ...web, hostIP: '::' },
      ],
    ],
    [[web, { ...web, hostIP: '192.0.2.1' }]],
  ])('different ones are not: %j', (mappings) => {
    expect(parse(...mappings)).toHaveLength(2);
  });
});

describe('bindingsOf', () => {
  const texts = (hostIP: string, families: (4 | 6)[]): string[] =>
    bindingsOf(parse({ ...web, hostIP }), families).map(describeBinding);

  test('without a host address a mapping is for each family of the pod', () => {
    expect(texts('', [4, 6])).toEqual([
      'tcp port 8080 of any IPv4 address',
      'tcp port 8080 of any IPv6 address',
    ]);
    expect(texts('', [6])).toEqual(['tcp port 8080 of any IPv6 address']);
  });

  test('a host address is for its own family', () => {
    expect(texts('192.0.2.1', [4, 6])).toEqual(['tcp port 8080 of 192.0.2.1']);
    expect(texts('0.0.0.0', [4, 6])).toEqual(['tcp port 8080 of any IPv4 address']);
    expect(texts('::', [4, 6])).toEqual(['tcp port 8080 of any IPv6 address']);
    expect(texts('2001:db8::1', [4])).toEqual([]);
  });
});
