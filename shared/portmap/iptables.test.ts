import { describe, expect, test } from 'vitest';
import { Fields } from '../cni/fields.ts';
import type { JsonObject } from '../cni/types.ts';
import { podAddress } from '../filter/pod-address.ts';
import { parseSave } from '../kernel/iptables.ts';
import {
  collectCommands,
  createCommands,
  findMissing,
  iptablesPortmap,
  missingCommands,
  portmapChain,
  removeCommands,
  removePresentCommands,
} from './iptables.ts';
import { parsePortmapOptions } from './options.ts';

const owner = { network: 'net', containerId: 'abc' };
const chain = 'CNI-DN-3ce8a0924fdef86d56ad1';
const four = podAddress({ address: '10.1.0.2', subnet: '10.1.0.2/24' });
const six = podAddress({ address: 'fd00::2', subnet: 'fd00::2/64' });

const planOf = (portMappings: JsonObject[], config: JsonObject = {}, pod = four) =>
  iptablesPortmap(
    owner,
    parsePortmapOptions(new Fields({ backend: 'iptables', ...config }), new Fields({ portMappings })),
    pod,
  );

const mappings = [
  { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
  { hostPort: 8081, containerPort: 81, protocol: 'udp', hostIP: '192.0.2.7' },
  { hostPort: 8082, containerPort: 82, protocol: 'sctp', hostIP: '::' },
];

// What iptables-save 1.8.9 printed after an ADD of the reference 1.1.1.
const reference = (rules: string) =>
  parseSave(`*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:${chain} - [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:CNI-HOSTPORT-MASQ - [0:0]
:CNI-HOSTPORT-SETMARK - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ
${rules}
-A CNI-HOSTPORT-DNAT -p sctp -m comment --comment "dnat name: \\"net\\" id: \\"abc\\"" -m multiport --dports 8082 -j ${chain}
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"net\\" id: \\"abc\\"" -m multiport --dports 8080 -j ${chain}
-A CNI-HOSTPORT-DNAT -p udp -m comment --comment "dnat name: \\"net\\" id: \\"abc\\"" -m multiport --dports 8081 -j ${chain}
-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE
-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000
COMMIT
`);
const ofFour = reference(`\
-A ${chain} -s 10.1.0.0/24 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK
-A ${chain} -s 127.0.0.1/32 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK
-A ${chain} -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.1.0.2:80
-A ${chain} -s 10.1.0.0/24 -d 192.0.2.7/32 -p udp -m udp --dport 8081 -j CNI-HOSTPORT-SETMARK
-A ${chain} -s 127.0.0.1/32 -d 192.0.2.7/32 -p udp -m udp --dport 8081 -j CNI-HOSTPORT-SETMARK
-A ${chain} -d 192.0.2.7/32 -p udp -m udp --dport 8081 -j DNAT --to-destination 10.1.0.2:81`);
const ofSix = reference(`\
-A ${chain} -s fd00::/64 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK
-A ${chain} -p tcp -m tcp --dport 8080 -j DNAT --to-destination [fd00::2]:80
-A ${chain} -s fd00::/64 -p sctp -m sctp --dport 8082 -j CNI-HOSTPORT-SETMARK
-A ${chain} -p sctp -m sctp --dport 8082 -j DNAT --to-destination [fd00::2]:82`);

describe('the reference’s rules are ours', () => {
  test.each([
    ['IPv4', four, ofFour],
    ['IPv6', six, ofSix],
  ])('%s', (_, pod, table) => {
    const wanted = planOf(mappings, {}, pod);
    expect(wanted.chain).toBe(chain);
    expect(missingCommands(wanted, table)).toBeUndefined();
    expect(findMissing(wanted, table)).toEqual([]);
    // Nothing of ours is left out by that comparison, either.
    const ours = [
      ...wanted.frame.rules.map(({ rule }) => rule),
      ...wanted.inChain,
      ...wanted.jumps.map(({ rule }) => rule),
    ];
    expect(ours.toSorted()).toEqual(table.rules.toSorted());
  });
});

test('on a node with nothing, the reference’s order: the masquerade before the rules of others', () => {
  const commands = createCommands(planOf(mappings.slice(0, 1)), true);
  expect(commands).toEqual([
    '-N CNI-HOSTPORT-SETMARK',
    '-N CNI-HOSTPORT-MASQ',
    '-N CNI-HOSTPORT-DNAT',
    '-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000',
    '-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE',
    '-I POSTROUTING 1 -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ',
    '-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
    '-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
    ...createCommands(planOf(mappings.slice(0, 1)), false),
  ]);
});

describe('missingCommands', () => {
  test('a chain with other rules is filled anew, in order', () => {
    const wanted = planOf(mappings);
    const rules = ofFour.rules.filter((rule) => !rule.includes('-s 127.0.0.1/32 -p tcp'));
    expect(missingCommands(wanted, { ...ofFour, rules })).toEqual([`-F ${chain}`, ...wanted.inChain]);
    expect(findMissing(wanted, { ...ofFour, rules })).toEqual([
      `-A ${chain} -s 127.0.0.1/32 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK`,
    ]);
  });

  test('what all share comes back after a flush', () => {
    const wanted = planOf(mappings);
    const commands = missingCommands(wanted, { ...ofFour, rules: [] });
    expect(commands?.filter((command) => command.startsWith('-N'))).toEqual([]);
    expect(commands).toContain('-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT');
    expect(commands?.some((command) => command.startsWith('-I POSTROUTING 1 '))).toBe(true);
  });

  test('a jump with conditions is known in the form that iptables-save gives it', () => {
    const wanted = planOf([{ hostPort: 8080, containerPort: 80 }], {
      conditionsV4: ['-d', '192.0.2.1', '!', '-s', '10.0.0.0/8'],
    });
    const [jump] = wanted.jumps;
    expect(jump?.rule).toBe(
      `-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"net\\" id: \\"abc\\"" -m multiport --dports 8080 -d 192.0.2.1 "!" -s "10.0.0.0/8" -j ${chain}`,
    );
    const printed = `-A CNI-HOSTPORT-DNAT ! -s 10.0.0.0/8 -d 192.0.2.1/32 -p tcp -m comment --comment "dnat name: \\"net\\" id: \\"abc\\"" -m multiport --dports 8080 -j ${chain}`;
    const rules = [...wanted.frame.rules.map(({ rule }) => rule), ...wanted.inChain];
    expect(findMissing(wanted, { ...ofFour, rules: [...rules, printed] })).toEqual([]);
    expect(findMissing(wanted, { ...ofFour, rules })).toEqual([jump?.rule]);
  });
});

describe('the keys', () => {
  const web = [{ hostPort: 8080, containerPort: 80 }];

  test('snat off: nothing is marked, and the chains that mark are not made', () => {
    const { frame, inChain } = planOf(web, { snat: false });
    expect(frame.chains).toEqual(['CNI-HOSTPORT-DNAT']);
    expect(inChain).toEqual([`-A ${chain} -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.1.0.2:80`]);
  });

  test('masqAll: one rule without a source', () => {
    expect(planOf(web, { masqAll: true }).inChain[0]).toBe(
      `-A ${chain} -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK`,
    );
  });

  test('markMasqBit', () => {
    const texts = planOf(web, { markMasqBit: 31 }).frame.rules.map(({ rule }) => rule);
    expect(texts[0]).toContain('--set-xmark 0x80000000/0x80000000');
    expect(texts[1]).toContain('--mark 0x80000000/0x80000000');
  });

  test('externalSetMarkChain', () => {
    const { frame, inChain } = planOf(web, { externalSetMarkChain: 'KUBE-MARK-MASQ' });
    expect(frame.chains).toEqual(['CNI-HOSTPORT-DNAT']);
    expect(inChain[0]).toMatch(/-j KUBE-MARK-MASQ$/);
  });
});

test('ports go in groups of 15 for each protocol', () => {
  const many = Array.from({ length: 17 }, (_, index) => ({
    hostPort: 1001 + index,
    containerPort: 1,
    protocol: 'udp',
  }));
  const texts = planOf([...many, { hostPort: 80, containerPort: 80 }]).jumps.map(({ rule }) => rule);
  expect(texts.map((rule) => /-p (\w+) .* --dports (\S+) /.exec(rule)?.slice(1))).toEqual([
    ['tcp', '80'],
    ['udp', '1001,1002,1003,1004,1005,1006,1007,1008,1009,1010,1011,1012,1013,1014,1015'],
    ['udp', '1016,1017'],
  ]);
});

test('a comment that iptables could not hold is cut off as the reference does', () => {
  const long = { network: 'n'.repeat(255), containerId: 'c' };
  const options = parsePortmapOptions(new Fields({}), new Fields({ portMappings: mappings.slice(0, 1) }));
  const comment = /--comment "(.*)" -m multiport/.exec(
    iptablesPortmap(long, options, four).jumps[0]?.rule ?? '',
  )?.[1];
  expect(comment).toBe(`dnat name: \\"${'n'.repeat(253 - 'dnat name: "'.length)}...`);
});

describe('removal', () => {
  test('as known', () => {
    const wanted = planOf(mappings);
    expect(removeCommands(wanted)).toEqual([
      ...wanted.jumps.map(({ rule }) => rule.replace('-A', '-D')),
      `-F ${chain}`,
      `-X ${chain}`,
    ]);
  });

  test('as found', () => {
    expect(removePresentCommands(chain, ofFour)?.toSorted()).toEqual(
      removeCommands(planOf(mappings)).toSorted(),
    );
    expect(removePresentCommands('CNI-DN-000000000000000000000', ofFour)).toBeUndefined();
  });

  test('of a network’s containers that are not kept', () => {
    expect(collectCommands('net', ['abc'], ofFour)).toBeUndefined();
    expect(collectCommands('ne', [], ofFour)).toBeUndefined();
    expect(collectCommands('net', ['other'], ofFour)?.toSorted()).toEqual(
      removeCommands(planOf(mappings)).toSorted(),
    );
    expect(portmapChain('net', 'abc')).toBe(chain);
  });
});
