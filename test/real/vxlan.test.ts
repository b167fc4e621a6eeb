import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createNodes, type Nodes } from '../plugins/overlay-nodes.ts';
import { expectPlugins, podwireBin } from '../support/binaries.ts';
import { newContainerId } from '../support/call-plugin.ts';
import { lackingTools, requireKernel, requireTool, skipFor } from '../support/needs.ts';
import type { Pod } from '../support/pod.ts';
import { systemPath } from '../support/process.ts';
import { keptOverlay, leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { startServer, whoSees } from '../support/traffic.ts';
import { buildLibcni, callLibcni, expectReply, type LibcniRequest, lackingLibcni } from './libcni.ts';
import { keptFrames, readShipped } from './shipped.ts';

// Two hosts, a list of nodes on each, and nothing else: no daemon, no server.
const conflist = '30-podwire-vxlan.conflist';
const nodesFile = '/run/nodes.json';
const shippedNodes = resolve(import.meta.dirname, '../../conf/nodes.json');

let nodes: Nodes;
let pods: Pod[];
beforeEach(async (context) => {
  requireKernel(context, 'vxlan', 'ipv6', 'nftables');
  requireTool(context, 'busybox');
  expectPlugins(podwireBin, 'podwire', 'vxlan', 'host-local');
  nodes = await createNodes(2);
  pods = [];
  for (const host of nodes.hosts) {
    copyFileSync(shippedNodes, host.path(nodesFile));
    pods.push(await host.addPod('pod'));
  }
});
afterEach(() => nodes?.[Symbol.asyncDispose]());

/** The shipped list with the nodes' file where the test has it. */
const shipped = (cniVersion: string) => {
  const { plugins, ...list } = readShipped(conflist, cniVersion);
  return { ...list, plugins: plugins.map((plugin) => ({ ...plugin, peers: nodesFile })) };
};

/** The first pods that the shipped nodes' prefixes give reach each other by their own addresses. */
const expectOverlay = async (): Promise<void> => {
  await Promise.all(pods.map((pod) => startServer(pod, 80)));
  for (const [from, to] of [
    [1, 2],
    [2, 1],
  ] as const) {
    for (const prefix of ['10.244.', 'fd00:10:244:']) {
      const address = (node: number): string => `${prefix}${node}${prefix.includes(':') ? '::' : '.'}2`;
      expect(await whoSees(pods[from - 1] as Pod, address(to), 80)).toBe(address(from));
    }
  }
};

test.for(['0.4.0', '1.0.0'])('libcni on two hosts makes an overlay, version %s', async (version, context) => {
  skipFor(context, lackingLibcni() ?? lackingTools('busybox'));
  const program = await buildLibcni();
  const requests = nodes.hosts.map(
    (): LibcniRequest => ({
      conflist: shipped(version),
      binDirs: [podwireBin],
      containerID: newContainerId(),
      netNS: '/run/netns/pod',
    }),
  );
  const before = await Promise.all(nodes.hosts.map(snapshot));
  for (const [index, host] of nodes.hosts.entries()) {
    const request = requests[index] as LibcniRequest;
    expectReply(await callLibcni(host, program, 'add', request));
    expectReply(await callLibcni(host, program, 'check', request));
  }
  await expectOverlay();
  for (const [index, host] of nodes.hosts.entries()) {
    const request = requests[index] as LibcniRequest;
    expect(await callLibcni(host, program, 'del', request)).toEqual({ exitCode: 0 });
    const left = leftovers(before[index] ?? [], await snapshot(host), [...keptOverlay, ...keptFrames]);
    expect(left).toEqual(nothing);
  }
});

test('podwire run on two hosts makes an overlay', async () => {
  const run = ['--conf-dir', '/run/net.d', '--bin-dir', podwireBin];
  for (const host of nodes.hosts) {
    mkdirSync(host.path('/run/net.d'));
    writeFileSync(host.path(`/run/net.d/${conflist}`), JSON.stringify(shipped('1.1.0')));
  }
  const call = (verb: string): Promise<string[]> =>
    Promise.all(
      nodes.hosts.map((host) =>
        host.exec([`${podwireBin}/podwire`, 'run', verb, 'podwire', 'pod', ...run], {
          env: { PATH: systemPath },
        }),
      ),
    );
  await call('add');
  await call('check');
  await expectOverlay();
  await call('del');
});
