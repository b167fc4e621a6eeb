import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { lackingKernel, lackingTools, skipFor } from '../support/needs.ts';
import { waitUntil } from '../support/wait-until.ts';
import { createCluster, podsOf } from './lab/cluster.ts';
import type { Lab } from './lab/lab.ts';
import { confDir, type LabNode, type LabPod } from './lab/node.ts';
import { exchanges, faults, podParty } from './lab/reach.ts';
import { startPing } from './steady-ping.ts';

// The agent never stands in a packet's path: it may be killed, and its registry may say nonsense.
let lab: Lab;
const lacking = lackingKernel('vxlan', 'ipv6') ?? lackingTools('ping');
beforeEach((context) => skipFor(context, lacking));
beforeAll(async () => {
  if (lacking !== undefined) return;
  lab = await createCluster({ pods: 1 });
});
afterAll(() => lab?.dispose());

const podOf = (number: number): LabPod => {
  const [pod] = lab.node(number).pods;
  if (pod === undefined) throw new Error(`n${number} has no pod`);
  return pod;
};

/** Pings between two nodes' pods, in both families, while something happens; returns what was lost. */
const lostDuring = async (happening: () => Promise<void>): Promise<number[]> => {
  const pings = await Promise.all(podOf(2).addresses.map((address) => startPing(podOf(1), address)));
  await happening();
  await Promise.all(pings.map((ping) => ping.answers(20)));
  return (await Promise.all(pings.map((ping) => ping.lost()))).flat();
};

test('killed, and started again: no packet is lost', async () => {
  const node = lab.node(1);
  const lost = await lostDuring(async () => {
    expect(await node.stopAgent('SIGKILL')).toMatchObject({ signal: 'SIGKILL' });
    const pod = await node.addPod('meanwhile');
    await lab.prober.serve([podParty(pod).netns]);
    expect(await faults(lab, exchanges([podParty(pod)], podsOf(lab).map(podParty)))).toEqual([]);
    node.startAgent();
    await node.ready();
  });
  expect(lost).toEqual([]);
});

test('ended by SIGTERM and started again: no packet is lost', async () => {
  const node = lab.node(2);
  const lost = await lostDuring(async () => {
    expect(await node.stopAgent('SIGTERM')).toMatchObject({ exitCode: 0 });
    node.startAgent();
    await node.ready();
  });
  expect(lost).toEqual([]);
});

describe('a registry that cannot be read', () => {
  /** What the agent says of its registry. */
  const registryOf = async (node: LabNode): Promise<{ up?: boolean }> =>
    JSON.parse((await node.health('/readyz'))?.body ?? '{}').registry ?? {};

  test.for([
    ['is gone', undefined],
    ['is cut off', '{"nodes": [ {"name": "n1", "addr'],
    ['is empty', ''],
    ['is something else', '{"hosts": []}'],
    ['lists no nodes', '{"nodes": {}}'],
  ] as const)('because it %s: nothing is torn down, and the next valid one counts', async ([, text]) => {
    const node = lab.node(1);
    const conflist = () => readFileSync(node.host.path(`${confDir}/10-podwire.conflist`), 'utf8');
    const [before, peers] = [conflist(), node.peers()];
    const lost = await lostDuring(async () => {
      if (text === undefined) lab.unregister();
      else lab.register(text);
      await waitUntil('the agent has noticed', async () => (await registryOf(node)).up === false);
      expect(node.peers()).toEqual(peers);
      expect(conflist()).toBe(before);
      lab.register();
      await waitUntil('the agent is content', async () => (await registryOf(node)).up === true);
    });
    expect(lost).toEqual([]);
    expect(node.peers()).toEqual(peers);
    const pods = podsOf(lab).map(podParty);
    expect(await faults(lab, exchanges(pods, pods))).toEqual([]);
  });

  test('one sync by hand fails, says which file it is, and changes nothing', async () => {
    const node = lab.node(3);
    const peers = node.peers();
    await node.stopAgent();
    lab.register('{');
    const lost = await lostDuring(async () => {
      const { exitCode, stdout, stderr } = await node.attemptSync();
      expect(exitCode).toBe(1);
      expect(stdout + stderr).toContain('nodes.json');
      expect(node.peers()).toEqual(peers);
    });
    expect(lost).toEqual([]);
    lab.register();
    node.startAgent();
    await node.ready();
  });
});
