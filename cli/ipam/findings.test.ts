import { describe, expect, test } from 'vitest';
import type { Finding } from './finding.ts';
import { datastoreFindings } from './findings-datastore.ts';
import { kernelFindings } from './findings-kernel.ts';
import { nodeFindings } from './findings-node.ts';
import type { LocalView, RemoteView } from './observe.ts';
import { block, fixed, held, ipam, kernelView, localView, now, remoteView } from './sample.ts';

const short = (findings: Finding[]): string[] => findings.map(({ code, subject }) => `${code} ${subject}`);
const ago = (ms: number): string => new Date(now - ms).toISOString();
const hour = 3_600_000;

describe('the datastore', () => {
  const cases: [string, RemoteView, string[], string[]?][] = [
    ['is in order', remoteView(), []],
    [
      'has a small block in a wide one, and one beside',
      remoteView({ blocks: ['10.1.0.0/25', '10.1.0.64/26', '10.1.0.128/26'].map((cidr) => block(cidr)) }),
      ['overlapping-blocks 10.1.0.64/26'],
    ],
    [
      'has several in a wide one that begins where the first does',
      remoteView({ blocks: ['10.1.0.0/26', '10.1.0.0/25', '10.1.0.64/26'].map((cidr) => block(cidr)) }),
      ['overlapping-blocks 10.1.0.0/26', 'overlapping-blocks 10.1.0.64/26'],
    ],
    [
      'has a block of no pool',
      remoteView({ blocks: [block('10.1.0.0/26', { pool: 'old' })] }),
      ['block-of-unknown-pool 10.1.0.0/26'],
    ],
    [
      'has a block outside of its pool',
      remoteView({ blocks: [block('10.9.0.0/26')] }),
      ['block-outside-pool 10.9.0.0/26'],
    ],
    [
      'has a fixed address outside',
      remoteView({ addresses: [fixed('10.9.0.1', { containerId: 'c' })] }),
      ['fixed-address-outside-pools 10.9.0.1'],
    ],
    [
      'has a pool that overlaps another, and a block of it',
      remoteView({
        pools: { all: { cidr: '10.1.0.0/24' }, b: { cidr: '10.1.0.0/25' } },
        blocks: [block('10.1.0.0/26', { pool: 'b' })],
      }),
      ['pool-refused b'],
    ],
    [
      'has two addresses for one key',
      remoteView({
        addresses: ['10.1.0.1', '10.1.0.2'].map((address) => fixed(address, { key: 'k', containerId: 'c' })),
      }),
      ['key-has-two 10.1.0.2'],
    ],
    [
      'has what is of nodes that nobody knows',
      remoteView({
        blocks: [block('10.1.0.0/26'), block('10.1.0.64/26', { node: 'n9' })],
        addresses: [
          fixed('10.1.0.130', { node: 'n9', containerId: 'c' }),
          fixed('10.1.0.131', { node: 'n9', key: 'k', holdSeconds: 99, releasedAt: ago(0) }),
        ],
      }),
      ['unknown-node 10.1.0.64/26', 'unknown-node 10.1.0.130'],
      ['n1', 'n2'],
    ],
    [
      'has what is marked',
      remoteView({ blocks: [block('10.1.0.64/26', { node: 'n9', missingSince: ago(2 * hour) })] }),
      ['node-gone 10.1.0.64/26'],
    ],
    [
      'keeps addresses, one for too long',
      remoteView({
        addresses: [
          fixed('10.1.0.1', { key: 'a', holdSeconds: 3600, releasedAt: ago(2 * hour) }),
          fixed('10.1.0.2', { key: 'b', holdSeconds: 3600, releasedAt: ago(hour / 2) }),
          fixed('10.1.0.3', { key: 'c', holdSeconds: 3600, releasedAt: ago(hour + 60_000) }),
        ],
      }),
      ['hold-over 10.1.0.1'],
    ],
    [
      'has a record that somebody made up',
      remoteView({ blocks: [block('nonsense')] }),
      ['unreadable-record blocks/none'],
    ],
  ];
  test.for(cases)('%s', ([, remote, expected, nodes]) => {
    const cluster = { now, graceMs: ipam.graceMs, nodes: nodes && new Set(nodes) };
    expect(short(datastoreFindings(remote, cluster))).toEqual(expected);
  });

  test('a mark tells when the grace time ends', () => {
    const marked = (ms: number) =>
      remoteView({ blocks: [block('10.1.0.0/26', { node: 'n9', missingSince: ago(ms) })] });
    const meaning = (ms: number) =>
      datastoreFindings(marked(ms), { now, graceMs: hour, nodes: undefined })[0]?.meaning;
    expect(meaning(hour / 2)).toContain(new Date(now + hour / 2).toISOString());
    expect(meaning(2 * hour)).toContain('is over');
  });
});

describe('the node', () => {
  const note = { pool: 'all', isOurs: true, containerId: 'c1', ifname: 'eth0' };
  const cases: [string, LocalView, RemoteView | undefined, string[]][] = [
    ['is in order', localView([held('10.1.0.1')]), remoteView(), []],
    ['is in order without a datastore', localView([held('10.1.0.1')]), undefined, []],
    [
      'has an address of a block it lost',
      localView([held('10.1.0.1')], { cidrs: [] }),
      undefined,
      ['no-longer-ours 10.1.0.1'],
    ],
    [
      'has a block that the datastore does not know, and the other way round',
      localView([]),
      remoteView({ blocks: [block('10.1.0.64/26')] }),
      ['block-not-recorded 10.1.0.0/26', 'block-not-known 10.1.0.64/26'],
    ],
    [
      'has a record that it does not know',
      localView([]),
      remoteView({ addresses: [fixed('10.1.0.1', { containerId: 'c1' })] }),
      ['record-without-container 10.1.0.1'],
    ],
    [
      'waits to tell a release',
      localView([], { fixed: { '10.1.0.1': { ...note, releasedAt: ago(1) } } }),
      remoteView({ addresses: [fixed('10.1.0.1', { containerId: 'c1' })] }),
      ['release-not-told 10.1.0.1'],
    ],
    [
      'has what another node has, too',
      localView([held('10.1.0.1')]),
      remoteView({ addresses: [fixed('10.1.0.1', { node: 'n2', containerId: 'c2' })] }),
      ['used-on-two-nodes 10.1.0.1'],
    ],
    [
      'was not heard of',
      localView([], { confirmedAt: now - hour }),
      remoteView(),
      ['blocks-not-confirmed n1'],
    ],
    [
      'has an address of no pool',
      localView([held('10.1.0.1')]),
      remoteView({ pools: { b: { cidr: '10.2.0.0/24' } } }),
      ['held-outside-pools 10.1.0.1'],
    ],
  ];
  test.for(cases)('%s', ([, local, remote, expected]) => {
    expect(short(nodeFindings(ipam, local, remote, now))).toEqual(expected);
  });
});

describe('the kernel', () => {
  const netns = '/run/netns/c1';
  const one = localView([held('10.1.0.1')]);
  const record = {
    version: 1 as const,
    plugin: 'veth',
    network: 'pods',
    containerId: 'c1',
    ifname: 'eth0',
    netns,
    hostInterface: 'veth1',
    addresses: [],
  };
  const cases: [string, LocalView, ReturnType<typeof kernelView>, string[]][] = [
    ['is in order', one, kernelView({ [netns]: ['10.1.0.1'] }), []],
    [
      'has nothing of a container that is gone',
      one,
      kernelView({}, { gone: [netns] }),
      ['netns-gone 10.1.0.1 gc'],
    ],
    [
      "has the address in a process' netns",
      one,
      kernelView({}, { gone: [netns], elsewhere: new Set(['10.1.0.1']) }),
      ['netns-gone 10.1.0.1'],
    ],
    [
      'has the host interface',
      one,
      kernelView({}, { gone: [netns], devices: new Set(['veth1']) }),
      ['netns-gone 10.1.0.1'],
    ],
    [
      'has a host route',
      one,
      kernelView({}, { gone: [netns], hostRoutes: [{ address: '10.1.0.1', device: 'x' }] }),
      ['netns-gone 10.1.0.1'],
    ],
    [
      "had the address in a process' netns only",
      localView([held('10.1.0.1', { netns: '/proc/9/ns/net' })]),
      kernelView({}, { gone: ['/proc/9/ns/net'] }),
      ['netns-gone 10.1.0.1'],
    ],
    [
      'has a file in the place of the netns',
      one,
      kernelView({}, { places: new Map([[netns, 'file']]) }),
      ['netns-gone 10.1.0.1'],
    ],
    [
      'cannot tell whether the netns is there',
      one,
      kernelView({}, { places: new Map([[netns, 'unknown']]) }),
      [],
    ],
    ['has the netns, but not the address', one, kernelView({ [netns]: [] }), ['unused 10.1.0.1']],
    [
      'has the netns of an ADD that is at work',
      localView([held('10.1.0.1', { identity: `1:${(now - 1000) * 1e6}` })]),
      kernelView({ [netns]: [] }),
      [],
    ],
    ["has the host's own netns", one, kernelView({}, { places: new Map([[netns, 'host']]) }), []],
    [
      'has an address twice',
      one,
      kernelView({ [netns]: ['10.1.0.1'], '/run/netns/x': ['10.1.0.1'] }),
      ['in-two-netns 10.1.0.1'],
    ],
    [
      'has an address elsewhere',
      one,
      kernelView({ [netns]: [], '/run/netns/x': ['10.1.0.1'] }),
      ['in-another-netns 10.1.0.1'],
    ],
    [
      'has a container that moved to another netns',
      one,
      kernelView({ '/run/netns/x': ['10.1.0.1'] }, {}),
      [],
    ],
    [
      'has an address that nobody holds',
      localView([]),
      kernelView({ '/run/netns/x': ['10.1.0.9'] }),
      ['not-held 10.1.0.9'],
    ],
    [
      "has others' addresses",
      localView([]),
      kernelView({ '/run/netns/x': ['10.1.0.1', '10.1.0.65', '192.0.2.1', 'fd00::1'] }),
      [],
    ],
    [
      'has a route to nobody',
      localView([]),
      kernelView({}, { hostRoutes: [{ address: '10.1.0.9', device: 'x' }] }),
      ['route-to-nobody 10.1.0.9'],
    ],
    [
      'was booted',
      localView([held('10.1.0.2', { isStale: true, netns })]),
      kernelView({}, { gone: [netns] }),
      ['earlier-boot 10.1.0.2 gc'],
    ],
    [
      'was booted, yet has it',
      localView([held('10.1.0.2', { isStale: true })]),
      kernelView({ '/run/netns/y': ['10.1.0.2'] }),
      [],
    ],
  ];
  test.for(cases)('%s', ([, local, kernel, expected]) => {
    const findings = kernelFindings(local, { kernel, attachments: [record], now, minAgeMs: 60_000 });
    expect(findings.map(({ code, subject, gc }) => `${code} ${subject}${gc ? ' gc' : ''}`)).toEqual(expected);
    for (const finding of findings) expect(finding.leaked !== undefined).toBe(finding.gc);
  });
});
