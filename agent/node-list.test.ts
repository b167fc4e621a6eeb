import { expect, test } from 'vitest';
import { deviceOfLine } from './link-watch.ts';
import { judgeNodes } from './node-list.ts';

const node = (name: string, ...podCIDRs: string[]) => ({ name, addresses: ['192.0.2.1'], podCIDRs });

test('a list is acted on when this node is in it with a pod range', () => {
  const own = node('n1', '10.244.1.0/24');
  expect(judgeNodes([node('n0'), own], 'n1', 'file')).toEqual({ own });
});

test.for<[string, ReturnType<typeof node>[], string]>([
  ['empty', [], 'node "n1" is not in the registry, which has no nodes'],
  ['others only', [node('a'), node('b')], 'node "n1" is not in the registry, which has "a", "b"'],
  ['no range', [node('n1')], 'node "n1" has no pod range yet'],
  [
    'many others',
    Array.from({ length: 12 }, (_, index) => node(`x${index}`)),
    'node "n1" is not in the registry, which has "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9" and 2 more',
  ],
])('%s: it waits', ([, nodes, waiting]) => {
  expect(judgeNodes(nodes, 'n1', 'file')).toEqual({ waiting });
});

test('of Kubernetes, what a Node may still lack is told', () => {
  expect(judgeNodes([node('a')], 'n1', 'kubernetes')).toEqual({
    waiting: 'node "n1" with an InternalIP and a pod range is not in the registry, which has "a"',
  });
});

test.for<[string, string | undefined]>([
  [
    '5: pwvxlan1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue \\    link/ether 66:6b',
    'pwvxlan1',
  ],
  ['Deleted 5: pwvxlan1: <BROADCAST,MULTICAST> mtu 1450 qdisc noop', 'pwvxlan1'],
  ['7: eth0@if6: <BROADCAST,UP> mtu 1500', 'eth0'],
  ['7: eth0    inet 192.0.2.1/24 scope global eth0\\       valid_lft forever', 'eth0'],
  ['Deleted 7: eth0.5    inet6 fd00::1/64 scope global', 'eth0.5'],
  ['Dump terminated', undefined],
])('ip monitor: %s', ([line, device]) => {
  expect(deviceOfLine(line)).toBe(device);
});
