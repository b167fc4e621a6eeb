import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Attachment } from '../plugins/attachment.ts';
import { tunedState } from '../plugins/tuned-state.ts';
import { podwireBin } from '../support/binaries.ts';
import { callPlugin, expectDone, newContainerId, type PluginCall } from '../support/call-plugin.ts';
import { requireKernel, requireTool } from '../support/needs.ts';
import type { Pod } from '../support/pod.ts';
import { leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { breakTool, brokenEnv } from './broken-tools.ts';

describe('firewall when tools fail', () => {
  let host: TestHost;
  beforeEach(async (context) => {
    requireTool(context, 'nft', 'iptables');
    requireKernel(context, 'nftables', 'iptables (nft)');
    host = await createHost({ name: 'firewall' });
  });
  afterEach(() => host?.dispose());

  /** A call for a pod of its own, whose addresses end with the number. */
  const callFor = (number: number, keys: object): Omit<PluginCall, 'command'> => ({
    binDir: podwireBin,
    plugin: 'firewall',
    containerId: newContainerId(),
    netns: '/run/netns/pod',
    timeout: 120_000,
    config: {
      cniVersion: '1.0.0',
      name: 'walled',
      type: 'firewall',
      ...keys,
      prevResult: {
        interfaces: [{ name: 'lo' }, { name: 'eth0', sandbox: '/run/netns/pod' }],
        ips: [{ address: `10.62.0.${number}/24` }, { address: `fd62::${number}/64` }],
      },
    },
  });

  test.for([
    { backend: 'nftables', tool: 'nft', when: '*pods6*' },
    { backend: 'iptables', tool: 'ip6tables-restore', when: '*' },
    { backend: 'iptables', tool: 'iptables-restore', when: '*' },
  ])('$tool fails, and what the other did is taken back ($backend)', async ({ backend, tool, when }) => {
    const first = callFor(2, { backend });
    expectDone(await callPlugin(host, { ...first, command: 'ADD' }));
    const before = await snapshot(host);
    await breakTool(host, tool, when, 'echo broken >&2; exit 1');
    const second = { ...callFor(3, { backend }), env: brokenEnv };
    const { error } = await callPlugin(host, { ...second, command: 'ADD' });
    expect(error).toMatchObject({ code: 100 });
    expect(error?.msg).toContain(tool);
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);
    expectDone(await callPlugin(host, { ...second, command: 'DEL' }));
  });

  test.for([
    { backend: 'nftables', tool: 'nft' },
    { backend: 'iptables', tool: 'iptables-restore' },
  ])('killed when $tool is at work: DEL, or GC, finds all of it', async ({ backend, tool }) => {
    expectDone(await callPlugin(host, { ...callFor(2, { backend }), command: 'ADD' }));
    const before = await snapshot(host);
    await breakTool(host, tool, '*10.62.0.*', 'kill -9 $PPID; real "$@"');
    for (const [number, command] of [
      [3, 'DEL'],
      [4, 'GC'],
    ] as const) {
      const victim = callFor(number, { backend });
      const { signal, exitCode } = await callPlugin(host, { ...victim, command: 'ADD', env: brokenEnv });
      expect(signal ?? exitCode).not.toBe(0);
      const look = async (): Promise<string> =>
        `${await host.exec(['nft', 'list', 'ruleset'])}${await host.exec(['iptables-save'])}`;
      await expect.poll(look).toContain(`10.62.0.${number}`);
      const kept = before.flatMap(
        (line) => /^file \/run\/podwire\/firewall\/walled\/(\S+)\.eth0 /.exec(line)?.[1] ?? [],
      );
      const valid = kept.map((containerID) => ({ containerID, ifname: 'eth0' }));
      const config = { ...victim.config, cniVersion: '1.1.0', 'cni.dev/valid-attachments': valid };
      expectDone(await callPlugin(host, { ...victim, command, config }));
      expect(leftovers(before, await snapshot(host))).toEqual(nothing);
    }
  });

  test.for(['nftables', 'iptables'])('many at once on a fresh node (%s)', async (backend) => {
    const numbers = Array.from({ length: 24 }, (_, index) => index + 2);
    const calls = numbers.map((number) => callFor(number, { backend, ingressPolicy: 'same-bridge' }));
    for (const outcome of await Promise.all(
      calls.map((each) => callPlugin(host, { ...each, command: 'ADD' })),
    )) {
      expectDone(outcome);
    }
    for (const outcome of await Promise.all(
      calls.map((each) => callPlugin(host, { ...each, command: 'CHECK' })),
    )) {
      expectDone(outcome);
    }
    const rules = (await host.exec(['iptables-save', '-t', 'filter'])).split('\n');
    const jumps = rules.filter((rule) => rule.startsWith('-A FORWARD'));
    expect(jumps).toHaveLength(backend === 'iptables' ? 2 : 0);
    expect(rules.filter((rule) => rule.includes('-s 10.62.0.'))).toHaveLength(
      backend === 'iptables' ? 24 : 0,
    );
    for (const outcome of await Promise.all(
      calls.map((each) => callPlugin(host, { ...each, command: 'DEL' })),
    )) {
      expectDone(outcome);
    }
    const text = `${await host.exec(['nft', 'list', 'ruleset'])}${await host.exec(['iptables-save'])}`;
    expect(text).not.toContain('10.62.0.');
    expect(await host.exec(['ls', '-A', '/run/podwire/firewall/walled'])).toBe('');
  });
});

describe('tuning when ip fails', () => {
  let host: TestHost;
  let pod: Pod;
  let tuning: Attachment;
  beforeEach(async () => {
    host = await createHost({ name: 'tuning' });
    pod = await host.addPod('pod');
    await host.shell('ip link add v0 type veth peer name eth0 netns pod; ip -n pod link set eth0 up');
    tuning = new Attachment(host, pod, {
      cniVersion: '1.0.0',
      name: 'tuned',
      type: 'tuning',
      sysctl: { 'net.ipv4.conf.IFNAME.arp_filter': '1', 'net.ipv4.ip_default_ttl': '77' },
      mtu: 1300,
      mac: '02:aa:bb:cc:dd:01',
      prevResult: { interfaces: [{ name: 'eth0', sandbox: pod.netns }], ips: [{ address: '10.0.0.2/8' }] },
    });
  });
  afterEach(() => host?.dispose());

  test('the sysctls are put back, and nothing is kept', async () => {
    const before = [await tunedState(pod, 'eth0'), await snapshot(host)] as const;
    await breakTool(
      host,
      'ip',
      '*mtu*',
      'echo "RTNETLINK answers: No" >&2; echo "Command failed -:1" >&2; exit 1',
    );
    const { error } = await tuning.attempt('ADD', { env: brokenEnv });
    expect(error).toMatchObject({ code: 100 });
    expect(error?.msg).toContain('"eth0"');
    expect(await tunedState(pod, 'eth0')).toEqual(before[0]);
    expect(leftovers(before[1], await snapshot(host))).toEqual(nothing);
  });

  test.for([
    { when: 'before', script: 'kill -9 $PPID' },
    { when: 'after', script: 'real "$@"; kill -9 $PPID' },
  ])('killed $when the interface is changed, the originals are not lost', async ({ script }) => {
    const original = await tunedState(pod, 'eth0');
    await breakTool(host, 'ip', '*mtu*', script);
    const killed = await tuning.attempt('ADD', { env: brokenEnv });
    expect(killed.exitCode).not.toBe(0);
    expect((await tunedState(pod, 'eth0')).ttl).toBe('77');
    // A second ADD of the same attachment must not take what the first had set for the originals.
    await tuning.add();
    await tuning.check();
    await tuning.del();
    expect(await tunedState(pod, 'eth0')).toEqual(original);
    expect(await host.exec(['ls', '-A', '/run/cni/tuning'])).toBe('');
  });
});
