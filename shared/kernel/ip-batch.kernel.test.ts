import { beforeEach, describe, expect, test } from 'vitest';
import { runWholeBatch } from './batch.ts';
import { IpBatch, runIpBatch } from './ip-batch.ts';
import { readLink } from './link.ts';
import type { Netns } from './netns.ts';
import { createNetns, ip, requireNamespaces } from './test-netns.ts';

let netns: Netns;
beforeEach(async (context) => {
  requireNamespaces(context);
  netns = await createNetns();
  return () => netns.close();
});

describe('runIpBatch', () => {
  test('carries out all lines, and says which one failed', () => {
    ip(netns, 'link add v0 type veth peer name v1', 'link set v0 up');
    expect(netns.run(() => readLink('v0'))?.up).toBe(true);
    expect(() => ip(netns, 'link set v1 up', 'link set nope up', 'link del v0')).toThrow(
      expect.objectContaining({
        code: 100,
        message: 'preparing a test: ip link set failed: Cannot find device "nope"',
        details: 'The command was "ip link set nope up".',
      }),
    );
    expect(netns.run(() => readLink('v1'))?.up).toBe(true);
  });

  test('or goes on after lines that fail, and tells which they were', () => {
    const batch = new IpBatch()
      .add('link', 'set', 'nope', 'up')
      .add('link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1')
      .add('route', 'add', '10.1.0.0/24', 'via', '10.9.9.9')
      .add('link', 'set', 'v0', 'up');
    expect(netns.run(() => runWholeBatch(batch, 'preparing a test'))).toEqual([
      { index: 0, line: 'link set nope up', message: 'Cannot find device "nope"' },
      {
        index: 2,
        line: 'route add 10.1.0.0/24 via 10.9.9.9',
        message: 'Nexthop has invalid gateway.',
      },
    ]);
    expect(netns.run(() => readLink('v0'))?.up).toBe(true);
    expect(runWholeBatch(new IpBatch(), 'nothing')).toEqual([]);
  });

  test('puts a veth’s peer into a namespace by its reference', async () => {
    const pod = await createNetns();
    ip(netns, `link add v0 type veth peer name eth0 netns ${pod.reference}`);
    expect(pod.run(() => readLink('eth0'))?.kind).toBe('veth');
    pod.close();
  });

  test('returns what ip printed, and starts nothing for an empty batch', () => {
    expect(netns.run(() => runIpBatch(new IpBatch().add('link', 'show', 'dev', 'lo'), 'x'))).toContain('lo:');
    expect(runIpBatch(new IpBatch(), 'nothing')).toBe('');
  });
});
