import { readdirSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { listLinks, readLink, waitForLink } from './link.ts';
import { netlinkRequest } from './netlink.ts';
import { encodeMessage } from './netlink-message.ts';
import type { Netns } from './netns.ts';
import { startCommand } from './running-command.ts';
import { createNetns, ip, requireNamespaces } from './test-netns.ts';

let netns: Netns;
beforeEach(async (context) => {
  requireNamespaces(context);
  netns = await createNetns();
  return () => netns.close();
});

const indexOf = (name: string) => netns.run(() => readLink(name)?.index ?? -1);

const bridgeAndVeth = () =>
  ip(
    netns,
    'link add br0 address 02:00:00:00:00:01 mtu 1400 up type bridge',
    'link add v0 address 02:00:00:00:00:02 mtu 1400 master br0 up type veth peer name v1 mtu 1400',
    'link set v1 up',
    'link set v0 type bridge_slave hairpin on isolated on',
    'link set v0 alias podwire:net/container/eth0',
  );

describe('links', () => {
  test('are read by name and index as ip made them', () => {
    bridgeAndVeth();
    expect(netns.run(() => waitForLink('v0', (link) => link?.port?.state === 3, 5000))).toBe(true);
    const v0 = netns.run(() => readLink('v0'));
    expect(v0).toEqual({
      index: indexOf('v0'),
      name: 'v0',
      kind: 'veth',
      mac: '02:00:00:00:00:02',
      mtu: 1400,
      up: true,
      lowerUp: true,
      promiscuity: 1,
      promiscuous: false,
      allMulticast: false,
      txQueueLength: 1000,
      operstate: 'up',
      master: indexOf('br0'),
      peerIndex: indexOf('v1'),
      alias: 'podwire:net/container/eth0',
      port: { state: 3, hairpin: true, isolated: true },
    });
    expect(netns.run(() => readLink(v0?.index ?? 0))).toEqual(v0);
    expect(netns.run(() => readLink('br0'))).toMatchObject({
      kind: 'bridge',
      bridge: { vlanFiltering: false },
    });
    expect(netns.run(listLinks).map(({ name }) => name)).toEqual(
      expect.arrayContaining(['lo', 'br0', 'v0', 'v1']),
    );
  });

  test('that are not there are undefined', () => {
    for (const selector of ['nope', '', 'longer-than-fifteen', 'a\0b', 4711]) {
      expect(netns.run(() => readLink(selector))).toBeUndefined();
    }
  });

  test('can be a thousand', () => {
    ip(
      netns,
      ...Array.from({ length: 500 }, (_, index) => `link add a${index} type veth peer name b${index}`),
    );
    const names = netns.run(listLinks).map(({ name }) => name);
    expect(names.filter((name) => /^[ab]\d+$/.test(name))).toHaveLength(1000);
    expect(new Set(names).size).toBe(names.length);
  });

  test('are listed whole while others come and go', async () => {
    ip(
      netns,
      ...Array.from({ length: 100 }, (_, index) => `link add a${index} type veth peer name b${index}`),
    );
    const lines = Array.from({ length: 200 }, () => [
      'link add x0 type veth peer name x1',
      'link del x0',
    ]).flat();
    const busy = netns.run(() => startCommand('ip', ['-batch', '-'], { stdin: lines.join('\n') }));
    let lists = 0;
    await busy.settled(() => {
      const names = netns.run(listLinks).map(({ name }) => name);
      expect(names.filter((name) => /^[ab]\d+$/.test(name))).toHaveLength(200);
      lists += 1;
      return false;
    });
    expect(lists).toBeGreaterThan(10);
  });

  test('are waited for, until a deadline', () => {
    bridgeAndVeth();
    netns.run(() => {
      expect(waitForLink('v0', (link) => link?.port?.state === 3, 5000)).toBe(true);
      expect(waitForLink('gone', (link) => link === undefined, 0)).toBe(true);
      const started = performance.now();
      expect(waitForLink('v0', (link) => link === undefined, 60)).toBe(false);
      expect(performance.now() - started).toBeGreaterThanOrEqual(59);
    });
  });
});

describe('netlinkRequest', () => {
  test('throws the errno that the kernel answered', () => {
    const unknown = encodeMessage({ type: 9999, flags: 1, sequence: 5 }, new Uint8Array(16));
    expect(() => netns.run(() => netlinkRequest(0, unknown))).toThrow(
      expect.objectContaining({ code: 'EOPNOTSUPP' }),
    );
    expect(() => netlinkRequest(99, unknown)).toThrow(/opening a netlink socket: EPROTONOSUPPORT/);
  });

  test('leaves no descriptor open', () => {
    const open = () => readdirSync('/proc/self/fd').length;
    const before = open();
    for (let times = 0; times < 50; times += 1) netns.run(() => readLink(times % 2 === 0 ? 'lo' : 'nope'));
    expect(open()).toBeLessThan(before + 25);
  });
});
