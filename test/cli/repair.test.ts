import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { breakTool, brokenEnv } from '../faults/broken-tools.ts';
import { intact, repair, startRepair } from '../faults/repair-call.ts';
import { attachPod } from '../plugins/attachment.ts';
import { expectPlugins, podwireBin } from '../support/binaries.ts';
import { requireKernel, requireTool } from '../support/needs.ts';
import { runProcess, systemPath } from '../support/process.ts';
import { leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { hostHas, readHostFile, writeFile } from './cli-host.ts';

const ipam = (net: number) => ({
  type: 'host-local',
  subnet: `10.${net}.0.0/24`,
  routes: [{ dst: '0.0.0.0/0' }],
});
const common = { cniVersion: '1.1.0', ipMasq: true };
const bridge = {
  ...common,
  type: 'bridge',
  name: 'bridged',
  isGateway: true,
  macspoofchk: true,
  ipam: ipam(62),
};
const veth = { ...common, type: 'veth', name: 'routed', ipam: ipam(63) };

let host: TestHost;
beforeEach(async () => {
  expectPlugins(podwireBin, 'podwire', 'bridge', 'veth');
  host = await createHost({ name: 'repair' });
});
afterEach(() => host?.dispose());

const attach = (config: typeof bridge | typeof veth, containerId: string) =>
  attachPod(host, containerId, config, { containerId });
const recordFile = (network: string, containerId: string): string =>
  `/run/podwire/attachments/${network}/${containerId}.eth0`;
const changeRecord = (network: string, containerId: string, change: Record<string, unknown>): void => {
  const record = JSON.parse(readHostFile(host, recordFile(network, containerId))) as object;
  writeFile(host, recordFile(network, containerId), { ...record, ...change }, 0o600);
};
const flush = (): Promise<string> => host.exec(['nft', 'flush', 'ruleset']);

test('a node without attachments has nothing to repair', async () => {
  expect(await repair(host)).toEqual(intact(0));
  expect(hostHas(host, '/run/podwire/attachments')).toBe(false);
  expect((await startRepair(host)).stdout).toBe('nothing to repair  0 attachments\n');
});

test('says for each attachment what was put back; --network and --dry-run', async () => {
  await attach(bridge, 'web');
  await attach(veth, 'db');
  await flush();
  const flushed = await snapshot(host);
  const wanted = await startRepair(host, ['--dry-run']);
  expect(wanted).toMatchObject({ exitCode: 0, stderr: '' });
  expect(wanted.stdout.split('\n')[0]).toBe('would repair  2 attachments, 0 had all of their own');
  expect(leftovers(flushed, await snapshot(host))).toEqual(nothing);
  const one = await startRepair(host, ['--network', 'routed']);
  expect(one).toMatchObject({ exitCode: 0, stderr: '' });
  expect(one.stdout).toBe(`repaired  1 attachment, 0 had all of their own
  repaired  shared            chain inet podwire_masquerade postrouting is missing
            shared            chain inet podwire_masquerade from-10.63.0.0/24 is missing
            routed  db  eth0  element 10.63.0.2 of inet podwire_masquerade pods4 is missing
`);
  const { repaired } = await repair(host, ['--network', 'routed', '--network', 'bridged']);
  expect(new Set(repaired.map(({ containerId }) => containerId))).toEqual(new Set([undefined, 'web']));
  expect(repaired).toContainEqual({
    plugin: 'bridge',
    network: 'bridged',
    containerId: 'web',
    ifname: 'eth0',
    what: 'element 10.62.0.2 of inet podwire_masquerade pods4 is missing',
  });
  expect(await repair(host, ['--network', 'unknown'])).toEqual(intact(0));
});

describe('left alone, with a notice', () => {
  test('a pod that is gone; its record is for DEL', async () => {
    const { pod, attachment } = await attach(bridge, 'gone');
    await attach(bridge, 'alive');
    await pod.remove();
    await expect.poll(() => host.exec(['ip', '-o', 'link'])).not.toContain(attachment.port);
    await flush();
    const report = await repair(host);
    expect(report).toMatchObject({ exitCode: 0, attachments: 1, failed: [] });
    expect(report.skipped).toEqual([
      {
        plugin: 'bridge',
        network: 'bridged',
        containerId: 'gone',
        ifname: 'eth0',
        what: 'the pod is gone',
        why: 'DEL or GC removes what is left',
      },
    ]);
    expect(await host.exec(['nft', 'list', 'ruleset'])).not.toContain('gone eth0');
    expect(hostHas(host, recordFile('bridged', 'gone'))).toBe(true);
    await attachment.del();
    expect(await repair(host)).toEqual(intact(1));
  });

  test('a process id that is another process’s by now', async () => {
    const { attachment } = await attach(veth, 'pid');
    await host.exec(['ip', 'link', 'del', attachment.port]);
    changeRecord('routed', 'pid', { netns: '/proc/1/ns/net' });
    expect(await repair(host)).toMatchObject({
      exitCode: 0,
      attachments: 0,
      skipped: [{ what: 'the pod is gone' }],
    });
  });

  test('an attachment that another call is at work on', async () => {
    const { attachment } = await attach(bridge, 'busy');
    await attach(bridge, 'idle');
    await breakTool(host, 'nft', '*', 'sleep 2; real "$@"');
    const deletion = attachment.attempt('DEL', { env: brokenEnv });
    await expect.poll(() => host.exec(['ip', '-o', 'link'])).not.toContain(attachment.port);
    await host.exec(['nft', 'delete', 'table', 'bridge', 'podwire_spoof']);
    const { skipped } = await repair(host);
    expect(skipped.map(({ containerId }) => containerId)).toEqual(['busy']);
    expect((await deletion).exitCode).toBe(0);
    expect(await repair(host)).toEqual(intact(1));
  });

  test('an ADD that is under way or was killed, and files that are no records', async () => {
    await attach(bridge, 'half');
    changeRecord('bridged', 'half', { complete: undefined });
    writeFile(host, recordFile('bridged', 'newer'), { version: 2 });
    writeFile(host, '/run/podwire/attachments/bridged/.unfinished.eth0', '{');
    await flush();
    const report = await repair(host);
    expect(report).toMatchObject({ exitCode: 0, attachments: 0, repaired: [], failed: [] });
    expect(report.skipped.map(({ what }) => what).toSorted()).toEqual([
      `${recordFile('bridged', 'newer')} is no record that this podwire understands`,
      'its ADD is under way or was killed',
    ]);
    expect(await host.exec(['nft', 'list', 'ruleset'])).toBe('');
  });
});

describe('what can’t be mended is told, the rest is mended, and the exit code is 1', () => {
  test('an interface that is gone, a gateway’s place that is taken, an address of two pods', async () => {
    const lost = await attach(veth, 'lost');
    await attach(bridge, 'web');
    await attach(bridge, 'twin');
    await host.shell('ip addr flush dev cni0; ip addr add 192.0.2.1/24 dev cni0');
    await lost.pod.exec(['ip', 'link', 'del', 'eth0']);
    changeRecord('bridged', 'twin', { addresses: [{ address: '10.62.0.2', subnet: '10.62.0.2/24' }] });
    const report = await repair(host);
    expect(report.exitCode).toBe(1);
    expect(
      report.failed.map(({ containerId, what, why }) => `${containerId}: ${what}: ${why}`).toSorted(),
    ).toEqual([
      "lost: the container's interface is gone: DEL and ADD the container",
      'twin: element 10.62.0.2 of inet podwire_masquerade pods4 belongs to "bridged web eth0": ' +
        'two pods have the same address: DEL one of them',
      'undefined: "cni0" lacks the gateway address 10.62.0.1/24: it has 192.0.2.1/24, which somebody else set',
    ]);
    const text = await startRepair(host);
    expect(text).toMatchObject({ exitCode: 1, stderr: '' });
    expect(text.stdout).toMatch(/^not all repaired {2}3 attachments, 3 problems left\n {2}not repaired /);
    // One that can't be mended holds up nobody.
    await host.shell(
      'nft flush map inet podwire_masquerade pods4; nft add rule inet podwire_masquerade postrouting accept',
    );
    expect((await repair(host)).repaired.map(({ what }) => what)).toEqual([
      "chain inet podwire_masquerade postrouting has other rules than podwire's",
      'element 10.62.0.2 of inet podwire_masquerade pods4 is missing',
    ]);
  });

  test('a set of another kind in our table', async (context) => {
    requireKernel(context, 'nftables');
    await attach(bridge, 'web');
    await attach(veth, 'db');
    await host.shell(`nft delete table inet podwire_masquerade; nft add table inet podwire_masquerade
      nft add set inet podwire_masquerade pods4 '{ type inet_service; }'`);
    const report = await repair(host);
    expect(report.exitCode).toBe(1);
    expect(report.failed.map(({ what }) => what)).toContain(
      'element 10.62.0.2 of inet podwire_masquerade pods4 is missing',
    );
    expect(report.failed.every(({ why }) => why?.includes('nft'))).toBe(true);
    await host.exec(['nft', 'delete', 'table', 'inet', 'podwire_masquerade']);
    expect(await repair(host)).toMatchObject({ exitCode: 0, failed: [] });
  });
});

test('a record of podwire 0.1, which lacks the host’s side and the MAC', async (context) => {
  requireKernel(context, 'nftables bridge family');
  const { attachment } = await attach(bridge, 'old');
  changeRecord('bridged', 'old', { host: undefined, mac: undefined });
  expect(await repair(host)).toEqual(intact(1));
  await host.exec(['nft', 'delete', 'table', 'inet', 'podwire_masquerade']);
  expect(await repair(host)).toMatchObject({ exitCode: 0, failed: [] });
  await attachment.check();
  await host.exec(['nft', 'delete', 'table', 'bridge', 'podwire_spoof']);
  expect(await repair(host)).toMatchObject({
    exitCode: 1,
    failed: [{ what: 'the spoof check is incomplete', why: expect.stringContaining('DEL and ADD') }],
  });
  await attachment.del();
});

test('wrong usage, and a caller that may not', async (context) => {
  requireTool(context, 'setpriv');
  for (const args of [['--network'], ['--network', '../etc'], ['--bogus'], ['extra']]) {
    expect(await startRepair(host, args)).toMatchObject({ exitCode: 2, stdout: '' });
  }
  await attach(veth, 'db');
  const unprivileged = ['setpriv', '--reuid=65534', '--clear-groups', `${podwireBin}/podwire`, 'repair'];
  const outcome = await host.attempt(unprivileged, { env: { PATH: systemPath } });
  expect(outcome).toMatchObject({ exitCode: 1, stdout: '' });
  expect(outcome.stderr).toMatch(/^error 5: cannot read the records in \/run\/podwire\/attachments/);
  expect((await runProcess([`${podwireBin}/podwire`, 'repair', '--help'])).stdout).toContain('Exit code:');
});
