import { beforeEach, expect, test } from 'vitest';
import { readLink } from './link.ts';
import type { Netns } from './netns.ts';
import {
  INGRESS_PARENT,
  readClasses,
  readClassQdisc,
  readFilters,
  readIngressQdisc,
  readRootQdisc,
} from './tc.ts';
import { runTcBatch, TcBatch } from './tc-batch.ts';
import { createNetns, ip, requireNamespaces } from './test-netns.ts';

let netns: Netns;
let index: number;
let ifb: number;
beforeEach(async (context) => {
  requireNamespaces(context);
  netns = await createNetns();
  ip(netns, 'link add v0 up type veth peer name v1', 'link add ifb7 up type ifb');
  index = netns.run(() => readLink('v0'))?.index ?? 0;
  ifb = netns.run(() => readLink('ifb7'))?.index ?? 0;
  return () => netns.close();
});

const tc = (...lines: string[]): void => {
  const batch = new TcBatch();
  for (const line of lines) batch.add(...line.split(' '));
  netns.run(() => runTcBatch(batch, 'preparing a test'));
};

test('an interface without queueing disciplines of anybody', () => {
  expect(netns.run(() => readRootQdisc(index))).toMatchObject({ kind: 'noqueue', handle: 0 });
  expect(netns.run(() => readIngressQdisc(index))).toBeUndefined();
  expect(netns.run(() => readFilters(index, INGRESS_PARENT))).toEqual([]);
  expect(netns.run(() => readClasses(index))).toEqual([]);
  const down = netns.run(() => readLink('v1'))?.index ?? 0;
  expect(netns.run(() => readRootQdisc(down))).toBeUndefined();
  expect(netns.run(() => readRootQdisc(999))).toBeUndefined();
  expect(netns.run(() => readFilters(999, INGRESS_PARENT))).toEqual([]);
});

test('a token bucket, also of more than 32 bits', () => {
  tc('qdisc add dev v0 root handle 1: tbf rate 1250000bps burst 125000 limit 156250');
  expect(netns.run(() => readRootQdisc(index))).toMatchObject({
    kind: 'tbf',
    handle: 0x10000,
    tbf: { rate: 1_250_000, limit: 156_250, bufferTicks: 1_562_500 },
  });
  tc('qdisc change dev v0 root handle 1: tbf rate 12500000000bps burst 125000000 limit 156250');
  expect(netns.run(() => readRootQdisc(index))?.tbf?.rate).toBe(12_500_000_000);
});

test('classes with filters and a queue', () => {
  tc(
    'qdisc add dev v0 root handle 1: htb default 30',
    'class add dev v0 parent 1: classid 1:30 htb rate 1250000bps burst 125000 quantum 1514',
    'qdisc add dev v0 parent 1:30 handle 30: bfifo limit 156250',
    'filter add dev v0 parent 1: protocol ipv6 prio 2 u32 match u32 0xfd000000 0xff000000 at 8 flowid 1:30',
    'filter add dev v0 parent 1: protocol ip prio 1 u32 match u32 0x0a010000 0xffff0000 at 12 flowid 1:0',
  );
  expect(netns.run(() => readRootQdisc(index))).toMatchObject({ kind: 'htb', htb: { defaultClass: 0x30 } });
  expect(netns.run(() => readClasses(index))).toEqual([
    { handle: 0x10030, rate: 1_250_000, ceil: 1_250_000, bufferTicks: 1_562_500 },
  ]);
  expect(netns.run(() => readClassQdisc(index, 0x10030))).toMatchObject({ kind: 'bfifo', limit: 156_250 });
  expect(netns.run(() => readFilters(index, 0x10000))).toEqual([
    {
      kind: 'u32',
      priority: 1,
      protocol: 0x0800,
      classId: 0x10000,
      keys: [{ value: 0x0a010000, mask: 0xffff0000, offset: 12 }],
    },
    {
      kind: 'u32',
      priority: 2,
      protocol: 0x86dd,
      classId: 0x10030,
      keys: [{ value: 0xfd000000, mask: 0xff000000, offset: 8 }],
    },
  ]);
});

test('a redirection of what comes in', () => {
  tc(
    'qdisc add dev v0 handle ffff: ingress',
    'filter add dev v0 parent ffff: protocol all prio 1 u32 match u32 0 0 flowid 1:1 action mirred egress redirect dev ifb7',
  );
  expect(netns.run(() => readIngressQdisc(index))).toMatchObject({ kind: 'ingress', handle: 0xffff0000 });
  expect(netns.run(() => readFilters(index, INGRESS_PARENT))).toEqual([
    {
      kind: 'u32',
      priority: 1,
      protocol: 3,
      classId: 0x10001,
      keys: [{ value: 0, mask: 0, offset: 0 }],
      redirectsTo: ifb,
    },
  ]);
});

test('a line that fails is named', () => {
  expect(() => tc('qdisc add dev nope root pfifo')).toThrow(expect.objectContaining({ code: 100 }));
});
