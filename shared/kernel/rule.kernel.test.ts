import { expect, test } from 'vitest';
import { IpBatch, runIpBatch } from './ip-batch.ts';
import { readRules } from './rule.ts';
import { createNetns, ip, requireNamespaces } from './test-netns.ts';

test('rules of both families, by priority', async (context) => {
  requireNamespaces(context);
  const netns = await createNetns();
  ip(
    netns,
    'rule add from 10.1.0.5/32 table 100',
    'rule add from 10.2.0.0/16 to 10.3.0.0/16 table 70000 pref 50',
    'rule add fwmark 1 blackhole pref 60',
  );
  const batch = new IpBatch().add(...'rule add from fd00::5/128 table 101'.split(' '));
  netns.run(() => runIpBatch(batch, 'preparing a test', 6));
  expect(netns.run(() => readRules(4))).toEqual([
    { priority: 0, table: 255 },
    { priority: 50, table: 70000, src: '10.2.0.0/16' },
    { priority: 60, table: 0 },
    { priority: 32765, table: 100, src: '10.1.0.5/32' },
    { priority: 32766, table: 254 },
    { priority: 32767, table: 253 },
  ]);
  expect(netns.run(() => readRules(6))).toEqual([
    { priority: 0, table: 255 },
    { priority: 32765, table: 101, src: 'fd00::5/128' },
    { priority: 32766, table: 254 },
  ]);
  netns.close();
});
