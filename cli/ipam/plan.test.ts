import { describe, expect, test } from 'vitest';
import { plainStyle } from '../terminal.ts';
import type { Finding } from './finding.ts';
import { planned, renderCollected } from './gc.ts';
import { planRelease, type ReleaseTarget } from './plan-release.ts';
import { block, fixed, held, ipam, kernelView, localView, now, remoteView } from './sample.ts';
import { inBoth, type Survey } from './survey.ts';

const ago = (ms: number): string => new Date(now - ms).toISOString();
const hour = 3_600_000;

const surveyOf = (more: Partial<Survey> = {}): Survey => ({
  local: localView(),
  remote: remoteView(),
  unreachable: undefined,
  kernel: kernelView({}),
  attachments: [],
  nodes: undefined,
  ...more,
});

describe('what a release would break', () => {
  const netns = '/run/netns/c1';
  const one = localView([held('10.1.0.1')]);
  const names = new Map([['c1', 'x/web']]);
  const ofN9 = (more: object) => ({
    remote: remoteView({ blocks: [block('10.1.0.64/26', { node: 'n9', ...more })] }),
  });
  const cases: [string, ReleaseTarget, Survey, string | undefined][] = [
    [
      'an address in use',
      { address: '10.1.0.1' },
      surveyOf({ local: one, kernel: kernelView({ [netns]: ['10.1.0.1'] }) }),
      'pod x/web, container c1 eth0 uses 10.1.0.1',
    ],
    [
      'the same by the pod',
      { pod: 'x/web' },
      surveyOf({ local: one, kernel: kernelView({ [netns]: ['10.1.0.1'] }) }),
      'pod x/web',
    ],
    [
      'a leak',
      { address: '10.1.0.1' },
      surveyOf({ local: one, kernel: kernelView({}, { gone: [netns] }) }),
      undefined,
    ],
    [
      'a leak of an earlier boot',
      { address: '10.1.0.1' },
      surveyOf({ local: localView([held('10.1.0.1', { isStale: true })]) }),
      undefined,
    ],
    [
      'what a netns should have',
      { address: '10.1.0.1' },
      surveyOf({ local: one, kernel: kernelView({ [netns]: [] }) }),
      'its netns /run/netns/c1 is there',
    ],
    [
      'what nobody can tell',
      { address: '10.1.0.1' },
      surveyOf({ local: one, kernel: kernelView({}, { places: new Map([[netns, 'unknown']]) }) }),
      'whether it lives is not known',
    ],
    [
      'a hold',
      { address: '10.1.0.9' },
      surveyOf({
        remote: remoteView({
          addresses: [fixed('10.1.0.9', { key: 'k', holdSeconds: 7200, releasedAt: ago(hour) })],
        }),
      }),
      `kept for k until ${new Date(now + hour).toISOString()}`,
    ],
    [
      'a hold that is over',
      { address: '10.1.0.9' },
      surveyOf({
        remote: remoteView({
          addresses: [fixed('10.1.0.9', { key: 'k', holdSeconds: 60, releasedAt: ago(hour) })],
        }),
      }),
      undefined,
    ],
    [
      'what another node has',
      { pod: 'x/db' },
      surveyOf({
        remote: remoteView({
          addresses: [fixed('10.1.0.9', { node: 'n2', pod: 'x/db', containerId: 'c2' })],
        }),
      }),
      'container c2 on node n2 has 10.1.0.9',
    ],
    ['a node', { node: 'n9' }, surveyOf(ofN9({})), 'not known to be gone'],
    [
      'a node that was marked just now',
      { node: 'n9' },
      surveyOf(ofN9({ missingSince: ago(1000) })),
      'not known to be gone',
    ],
    ['a node that is gone', { node: 'n9' }, surveyOf(ofN9({ missingSince: ago(2 * hour) })), undefined],
    [
      'a node that is said to be gone, and is a peer',
      { node: 'n9' },
      surveyOf({ ...ofN9({ missingSince: ago(2 * hour) }), nodes: new Set(['n9']) }),
      'the node is there',
    ],
    [
      'this node with a pod',
      { node: 'n1' },
      surveyOf({ local: one, kernel: kernelView({ [netns]: ['10.1.0.1'] }) }),
      'uses 10.1.0.1',
    ],
    ['this node without any', { node: 'n1' }, surveyOf(), undefined],
  ];
  test.for(cases)('%s', ([, target, seen, expected]) => {
    const { held: local, records, harms } = planRelease(ipam, target, seen, names);
    expect(local.length + records.length).toBeGreaterThan(0);
    if (expected === undefined) expect(harms).toEqual([]);
    else expect(harms[0]).toContain(expected);
  });

  test('of a node leaves alone what is only kept', () => {
    const kept = fixed('10.1.0.9', { key: 'k', node: 'n9', holdSeconds: 7200, releasedAt: ago(hour) });
    const seen = surveyOf({ remote: remoteView({ blocks: [], addresses: [kept] }) });
    expect(planRelease(ipam, { node: 'n9' }, seen, names)).toEqual({ held: [], records: [], harms: [] });
  });

  test("a pod whose name begins as another's is another", () => {
    const other = fixed('10.1.0.9', { key: 'pods/x/web-10/eth0', holdSeconds: 7200, releasedAt: ago(hour) });
    const seen = surveyOf({ remote: remoteView({ addresses: [other] }) });
    expect(planRelease(ipam, { pod: 'x/web-1' }, seen, names).records).toEqual([]);
    expect(planRelease(ipam, { pod: 'x/web-10' }, seen, names).records).toEqual([other]);
  });
});

describe('gc', () => {
  const leak = (address: string): Finding => ({
    kind: 'leak',
    code: 'netns-gone',
    subject: address,
    what: '',
    meaning: '',
    remedy: '',
    gc: true,
    leaked: held(address),
  });

  test('returns blocks that are empty, or become so, but one of each pool', () => {
    const cidrs = ['10.1.0.0/26', '10.1.0.64/26', '10.1.0.128/26'];
    const local = localView([held('10.1.0.1'), held('10.1.0.65')], { cidrs });
    const seen = { local, remote: remoteView() };
    expect(planned(ipam, seen, []).returned).toEqual([]);
    expect(planned(ipam, seen, [leak('10.1.0.1')])).toMatchObject({
      freed: ['10.1.0.1'],
      returned: ['10.1.0.128/26'],
    });
    const disabled = remoteView({ pools: { all: { cidr: '10.1.0.0/24', disabled: true } } });
    expect(planned(ipam, { local, remote: disabled }, []).returned).toEqual(['10.1.0.128/26']);
  });

  test('tells what it did in one line for each thing, or that there was nothing', () => {
    const nothing = planned(ipam, { local: localView(), remote: remoteView() }, []);
    expect(renderCollected(nothing, false, plainStyle)).toBe('there was nothing to do\n');
    expect(renderCollected({ ...nothing, freed: ['10.1.0.1'], told: 2 }, true, plainStyle)).toBe(
      '  would be  leaks freed                     10.1.0.1\n            releases told to the datastore  2\n',
    );
  });

  test('counts only what two looks find, of the very same reservation', () => {
    const [a, b, c] = [leak('10.1.0.1'), leak('10.1.0.2'), leak('10.1.0.3')];
    const again = { ...b, leaked: held('10.1.0.2', { identity: '2:0' }) };
    expect(inBoth([a, b], [a, again, c])).toEqual([a]);
  });
});
