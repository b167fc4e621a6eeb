import { beforeEach, expect, test } from 'vitest';
import { runIpBatch } from '../kernel/ip-batch.ts';
import type { Netns } from '../kernel/netns.ts';
import { runTcBatch, TcBatch } from '../kernel/tc-batch.ts';
import { kernelHasLinkKind, kernelHasQdisc } from '../kernel/tc-support.ts';
import { createNetns, ip, requireNamespaces } from '../kernel/test-netns.ts';
import { findShapingLacks } from './lacks.ts';
import { mendShaping, newShaping } from './mend.ts';
import { planShaping, type ShapingPlan } from './plan.ts';
import { readShapingState } from './state.ts';

const ifb = { name: 'bwp0', alias: 'podwire:net/pod/eth0', mac: '02:00:00:00:00:01' };
const plans = [undefined, { shaped: false, subnets: ['10.0.0.0/8', '::/0'] }].map((selection) =>
  planShaping(
    { ingress: { rate: 3_000_000 }, egress: { rate: 7e9 }, ...(selection && { selection }) },
    { device: 'veth0', mtu: 1500 },
    ifb,
  ),
);

let netns: Netns;
beforeEach(async (context) => {
  requireNamespaces(context);
  netns = await createNetns();
  ip(netns, 'link add veth0 up type veth peer name eth0');
  return () => netns.close();
});

const carryOut = (batches: ReturnType<typeof mendShaping>): void =>
  netns.run(() => {
    runIpBatch(batches.ip, 'a test');
    runTcBatch(batches.tc, 'a test');
  });
const lacks = (plan: ShapingPlan) => netns.run(() => findShapingLacks(plan, readShapingState(plan)));

const damages: [string, 'ip' | 'tc', string[]][] = [
  ['the root', 'tc', ['qdisc del dev veth0 root']],
  ['another root', 'tc', ['qdisc del dev veth0 root', 'qdisc add dev veth0 root pfifo']],
  ['the redirection', 'tc', ['qdisc del dev veth0 ingress']],
  ['a clsact in its place', 'tc', ['qdisc del dev veth0 ingress', 'qdisc add dev veth0 clsact']],
  ['the ifb', 'ip', ['link del bwp0']],
  ['the ifb down', 'ip', ['link set bwp0 down']],
  ['the limit of the ifb', 'tc', ['qdisc change dev bwp0 root tbf rate 1mbit burst 15000 limit 20000']],
];

test.each(damages)('what is lacking is put back, and nothing else is touched: %s', (_what, tool, lines) => {
  for (const plan of plans) {
    carryOut(newShaping(plan, undefined));
    expect(lacks(plan)).toEqual([]);
    const batch = new TcBatch();
    if (tool === 'ip') ip(netns, ...lines);
    else for (const line of lines) batch.add(...line.split(' '));
    netns.run(() => runTcBatch(batch, 'a test'));
    const found = lacks(plan);
    expect(found.length).toBeGreaterThan(0);
    carryOut(netns.run(() => mendShaping(plan, readShapingState(plan), found)));
    expect(lacks(plan)).toEqual([]);
    ip(netns, 'link del veth0', 'link del bwp0', 'link add veth0 up type veth peer name eth0');
  }
});

test('what the kernel has is told without making anything', () => {
  expect(netns.run(() => kernelHasQdisc('tbf'))).toBe(true);
  expect(netns.run(() => kernelHasQdisc('htb'))).toBe(true);
  expect(netns.run(() => kernelHasQdisc('nosuch'))).toBe(false);
  expect(netns.run(() => kernelHasLinkKind('ifb'))).toBe(true);
  expect(netns.run(() => kernelHasLinkKind('nosuch'))).toBe(false);
  expect(netns.run(() => runTcBatch(new TcBatch().add('qdisc', 'show', 'dev', 'lo'), 'a test'))).toMatch(
    /^qdisc noqueue 0:/,
  );
});
