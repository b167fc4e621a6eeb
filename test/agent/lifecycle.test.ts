import { existsSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Lab } from '../nodes/lab/lab.ts';
import { confDir, type LabNode } from '../nodes/lab/node.ts';
import { requireTool } from '../support/needs.ts';
import { leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { waitUntil } from '../support/wait-until.ts';
import {
  agentCommand,
  ask,
  conflist,
  conflistPlugin,
  has,
  logLines,
  metric,
  modeOf,
  readiness,
  readText,
  requireLab,
  twoNodes,
  waitForReadiness,
} from './agent-lab.ts';

let lab: Lab;
let node: LabNode;
beforeEach(async (context) => {
  requireLab(context);
  lab = await twoNodes();
  node = lab.node(1);
});
afterEach(() => lab?.dispose());

describe('readiness', () => {
  test('the network configuration is there when the node is ready, and not before', async () => {
    lab.register([lab.node(2).entry]);
    node.startAgent();
    const waiting = await waitForReadiness(node, 'why it waits', ({ reasons }) =>
      /not in the registry/.test(reasons[0] ?? ''),
    );
    expect(waiting).toMatchObject({
      code: 503,
      ready: false,
      reasons: ['node "n1" is not in the registry, which has "n2"'],
    });
    expect(has(node, conflist)).toBe(false);
    expect((await node.health('/healthz'))?.status).toBe(200);

    lab.register([{ ...node.entry, podCIDRs: [] }, lab.node(2).entry]);
    await waitForReadiness(
      node,
      'no range',
      ({ reasons }) => reasons[0] === 'node "n1" has no pod range yet',
    );
    expect(has(node, conflist)).toBe(false);

    lab.register();
    await node.ready();
    expect(await readiness(node)).toMatchObject({ code: 200, ready: true, reasons: [] });
    expect(modeOf(node, conflist)).toBe(0o644);
    expect(conflistPlugin(node)).toMatchObject({
      type: 'vxlan',
      vni: 1,
      port: 8472,
      peers: 'agent',
      ipam: {
        type: 'host-local',
        ranges: [[{ subnet: '10.244.1.0/24' }], [{ subnet: 'fd00:244:1::/64' }]],
      },
    });
  });

  test('metrics tell what happened', async () => {
    node.startAgent();
    await node.ready();
    expect(await metric(node, 'podwire_agent_ready')).toBe(1);
    expect(await metric(node, 'podwire_agent_peers{via="vxlan"}')).toBe(1);
    expect(await metric(node, 'podwire_agent_peers{via="direct"}')).toBe(0);
    expect(await metric(node, 'podwire_agent_registry_up{registry="file"}')).toBe(1);
    expect(await metric(node, 'podwire_agent_registry_nodes')).toBe(2);
    expect(await metric(node, 'podwire_agent_mtu_bytes')).toBe(node.state().mtu);
    expect(await metric(node, 'podwire_agent_conflist_written')).toBe(1);
    expect(await metric(node, 'podwire_agent_kernel_changes_total{kind="added"}')).toBeGreaterThan(3);
    expect(await metric(node, 'podwire_agent_syncs_total{result="success"}')).toBeGreaterThan(0);
    expect(await metric(node, 'process_resident_memory_bytes')).toBeGreaterThan(10_000_000);
    const last = (await metric(node, 'podwire_agent_last_success_timestamp_seconds')) ?? 0;
    expect(Math.abs(Date.now() / 1000 - last)).toBeLessThan(3600);
    expect((await ask(node, '/other'))?.code).toBe(404);
    expect((await ask(node, '/readyz', '-X', 'POST'))?.code).toBe(405);
    // HTTP/1.0 has no Host header.
    const script = "exec 3<>/dev/tcp/127.0.0.1/9090; printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3";
    expect(await node.host.exec(['bash', '--norc', '-ec', script])).toMatch(/^HTTP\/1\.\d 200 /);
    expect((await node.stopAgent()).stderr).not.toMatch(/^ *at /m);
  });

  test('a configuration from before a reboot is away until the node is ready', async () => {
    await node.sync();
    const text = readText(node, conflist);
    // A reboot empties /run.
    await node.host.shell('rm -r /run/podwire/overlay; ip link delete pwvxlan1');
    lab.register('{');
    node.startAgent();
    await waitUntil('the configuration is away', () => !has(node, conflist));
    lab.register();
    await node.ready();
    expect(readText(node, conflist)).toBe(text);
  });
});

describe('the end', () => {
  test.for(['SIGTERM', 'SIGINT'] as const)('%s: exit code 0, and everything stays', async (signal) => {
    const { pid } = node.startAgent();
    await node.ready();
    const [child] = (await node.host.exec(['pgrep', '-P', `${pid}`])).trim().split('\n');
    expect(existsSync(`/proc/${child}`)).toBe(true);
    const before = await snapshot(node.host);
    const text = readText(node, conflist);
    const outcome = await node.stopAgent(signal);
    expect(outcome).toMatchObject({ exitCode: 0, timedOut: false });
    expect(logLines(outcome).at(-1)).toMatchObject({
      msg: 'the agent ends; the data path stays',
      node: 'n1',
    });
    expect(leftovers(before, await snapshot(node.host))).toEqual(nothing);
    expect(readText(node, conflist)).toBe(text);
    await waitUntil('its child has ended', () => !existsSync(`/proc/${child}`));
  });

  test('a second agent is refused of the same VNI, and of the same pods; another is not', async () => {
    const { pid } = node.startAgent();
    await node.ready();
    const refused = await node.attemptSync();
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain(
      `error 103: an agent for the VNI 1 runs on this node already: process ${pid}`,
    );
    expect((await agentCommand(node, '--cleanup')).stderr).toContain(`process ${pid}`);
    const second = ['--vni', '2', '--port', '4789', '--cni-conf-dir', '/run/other'];
    const samePods = await node.attemptSync(second);
    expect(samePods.exitCode).toBe(1);
    expect(samePods.stderr).toContain(
      'Two overlays cannot have the same pods (10.244.1.0/24, fd00:244:1::/64)',
    );
    const registry = '/run/second.json';
    const podCIDRs = ['10.77.1.0/24'];
    writeFileSync(node.host.path(registry), JSON.stringify({ nodes: [{ ...node.entry, podCIDRs }] }));
    const other = await node.attemptSync([...second, '--registry-file', registry]);
    expect(other).toMatchObject({ exitCode: 0 });
    await node.stopAgent('SIGKILL');
    expect(await node.attemptSync()).toMatchObject({ exitCode: 0 });
  });

  test('a killed agent leaves no child', async (context) => {
    requireTool(context, 'setpriv');
    const { pid } = node.startAgent();
    await node.ready();
    const [child] = (await node.host.exec(['pgrep', '-P', `${pid}`])).trim().split('\n');
    expect(existsSync(`/proc/${child}`)).toBe(true);
    await node.stopAgent('SIGKILL');
    await waitUntil('its child has ended', () => !existsSync(`/proc/${child}`));
  });
});

describe('--once and --cleanup', () => {
  test('one sync does it all, cleaning up leaves nothing of it', async () => {
    // What stays on, as others may need it.
    await node.host.shell(
      'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding',
    );
    const before = await snapshot(node.host);
    await node.sync();
    expect(has(node, conflist)).toBe(true);
    expect(node.peers()).toMatchObject([{ name: 'n2', via: 'vxlan' }]);
    const done = leftovers(before, await snapshot(node.host));
    expect(done.added).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^link pwvxlan1 vxlan mtu 1450 up/),
        expect.stringMatching(/^nft table inet podwire_overlay1/),
        expect.stringMatching(/^route unicast 10.244.2.0\/24 /),
        expect.stringMatching(/^file \/run\/podwire\/overlay\/1\/node.json /),
      ]),
    );
    expect(done.removed).toEqual([]);
    // It would hold a token, with the datastore in Kubernetes.
    const kubeconfig = `${confDir}/podwire.kubeconfig`;
    writeFileSync(node.host.path(kubeconfig), '{}');
    await node.cleanup();
    expect(has(node, kubeconfig)).toBe(false);
    expect(leftovers(before, await snapshot(node.host))).toEqual(nothing);
    expect(has(node, conflist)).toBe(false);
    expect((await agentCommand(node, '--cleanup')).exitCode).toBe(0);
    expect(leftovers(before, await snapshot(node.host))).toEqual(nothing);
  });

  test('what cannot be done is an exit code and a message, and changes nothing', async () => {
    const before = await snapshot(node.host);
    lab.register([lab.node(2).entry]);
    const unknown = await node.attemptSync();
    expect(unknown.exitCode).toBe(1);
    expect(unknown.stderr).toContain('error 50: node "n1" is not in the registry, which has "n2"');
    lab.register('{\n  "nodes": [,]\n}');
    const invalid = await node.attemptSync();
    expect(invalid.exitCode).toBe(1);
    expect(invalid.stderr).toMatch(
      /error 6: \S+\/nodes.json:2:13 is not valid JSON: expected a value, found ","/,
    );
    const usage = await agentCommand(node, '--registry', 'file', '--vni', 'x');
    expect(usage.exitCode).toBe(2);
    expect(usage.stderr).toContain('--vni must be a whole number from 1 to 16777215, got "x"');
    expect(leftovers(before, await snapshot(node.host))).toEqual(nothing);
    expect(has(node, conflist)).toBe(false);
  });

  test("somebody else's file is kept beside ours, and not removed by cleaning up", async () => {
    const foreign = '{"cniVersion":"1.0.0","name":"mine","plugins":[{"type":"bridge"}]}';
    await node.host.shell(`mkdir -p ${confDir}`);
    writeFileSync(node.host.path(conflist), foreign);
    await node.cleanup();
    expect(readText(node, conflist)).toBe(foreign);
    await node.sync();
    expect(readText(node, `${conflist}.saved`)).toBe(foreign);
    await node.cleanup();
    expect(has(node, conflist)).toBe(false);
    expect(readText(node, `${conflist}.saved`)).toBe(foreign);
  });

  test("a template's own keys are in the configuration", async () => {
    const template = {
      cniVersion: '1.0.0',
      name: 'mine',
      plugins: [{ type: 'vxlan', ipam: { type: 'host-local', dataDir: '/run/ipam' } }, { type: 'tuning' }],
    };
    writeFileSync(node.host.path('/run/template.json'), JSON.stringify(template));
    await node.sync(['--conflist-template', '/run/template.json']);
    expect(JSON.parse(readText(node, conflist))).toMatchObject({
      name: 'mine',
      plugins: [
        {
          type: 'vxlan',
          peers: 'agent',
          ipam: { dataDir: '/run/ipam', ranges: [[{ subnet: '10.244.1.0/24' }], [{}]] },
        },
        { type: 'tuning' },
      ],
    });
  });
});
