import { expect, test } from 'vitest';
import { parseSave } from '../kernel/iptables.ts';
import { forwardChain, forwardCommands } from './forward-rules.ts';

const wanted = forwardChain(1, ['10.244.0.0/24', '10.244.1.0/24', 'fd00:244::/64'], 4);
const comment = '-m comment --comment "podwire overlay 1"';
const jump = `-A FORWARD ${comment} -j PODWIRE-FORWARD-1`;
const table = (policy: string, rules: string[], own = true) =>
  parseSave(
    [`:FORWARD ${policy} [0:0]`, ...(own ? [':PODWIRE-FORWARD-1 - [0:0]'] : []), ...rules].join('\n'),
  );
const removal = [
  `-D FORWARD ${comment} -j PODWIRE-FORWARD-1`,
  '-F PODWIRE-FORWARD-1',
  '-X PODWIRE-FORWARD-1',
];

test('the rules of a family', () => {
  expect(wanted).toEqual({
    chain: 'PODWIRE-FORWARD-1',
    jumps: [jump],
    inChain: [
      `-A PODWIRE-FORWARD-1 -s 10.244.0.0/23 ${comment} -j ACCEPT`,
      `-A PODWIRE-FORWARD-1 -d 10.244.0.0/23 ${comment} -j ACCEPT`,
    ],
    first: true,
  });
  expect(forwardChain(1, ['10.244.0.0/24'], 6).inChain).toEqual([]);
});

const written = [':PODWIRE-FORWARD-1 - [0:0]', ...wanted.inChain];
const inserted = `-I FORWARD 1 ${comment} -j PODWIRE-FORWARD-1`;

test.for([
  ['where nothing may be dropped, nothing', table('ACCEPT', [], false), undefined],
  ['where nothing may be dropped any more, ours goes', table('ACCEPT', [jump, ...wanted.inChain]), removal],
  [
    "another overlay's jump drops nothing",
    table('ACCEPT', ['-A FORWARD -j PODWIRE-FORWARD-2'], false),
    undefined,
  ],
  ['a policy', table('DROP', [], false), [...written, inserted]],
  ['rules of others', table('ACCEPT', ['-A FORWARD -j KUBE-FORWARD'], false), [...written, inserted]],
  ['in place', table('DROP', [jump, '-A FORWARD -j REJECT', ...wanted.inChain]), undefined],
  [
    'below a jump of others',
    table('DROP', ['-A FORWARD -j DOCKER-USER', jump, ...wanted.inChain]),
    undefined,
  ],
  [
    'below what drops',
    table('DROP', [
      '-A FORWARD -i eth0 -j REJECT --reject-with icmp-port-unreachable',
      jump,
      ...wanted.inChain,
    ]),
    [removal[0], inserted],
  ],
  ['twice', table('DROP', [jump, jump, ...wanted.inChain]), [removal[0]]],
  ['other prefixes', table('DROP', [jump, '-A PODWIRE-FORWARD-1 -s 10.9.0.0/24 -j ACCEPT']), written],
] as const)('%s', ([, present, commands]) => {
  expect(forwardCommands(wanted, present)).toEqual(commands);
});

test('without prefixes of the family, ours goes', () => {
  const present = table('DROP', [jump, ...wanted.inChain]);
  expect(forwardCommands(forwardChain(1, ['fd00::/64'], 4), present)).toEqual(removal);
});
