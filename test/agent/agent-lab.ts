import { existsSync, readFileSync, statSync } from 'node:fs';
import type { TestContext } from 'vitest';
import type { Readiness } from '../../agent/status.ts';
import { createLab, type Lab, type LabOptions } from '../nodes/lab/lab.ts';
import { confDir, type LabNode } from '../nodes/lab/node.ts';
import { podwireBin } from '../support/binaries.ts';
import { requireKernel, requireRoot, requireTool } from '../support/needs.ts';
import type { Outcome } from '../support/process.ts';
import { waitUntil } from '../support/wait-until.ts';

export const conflist = `${confDir}/10-podwire.conflist`;

/** Where the lab's agents answer. */
const healthUrl = 'http://127.0.0.1:9090';

/** Skips where a lab cannot be made. */
export const requireLab = (context: TestContext): void => {
  requireRoot(context);
  requireTool(context, 'curl', 'nft', 'ping', 'busybox', 'ss');
  requireKernel(context, 'vxlan', 'ipv6', 'nftables');
};

/** Two nodes in one segment unless asked otherwise; no agent runs yet. */
export const twoNodes = (options: LabOptions = {}): Promise<Lab> =>
  createLab({ segments: [0, 0], ...options });

/** What the agent answers; undefined when nobody does. */
export const ask = async (
  node: LabNode,
  path: string,
  ...flags: string[]
): Promise<{ code: number; body: string } | undefined> => {
  const curl = ['curl', '-sS', '-m', '5', '-w', '\n%{http_code}', ...flags, `${healthUrl}${path}`];
  const { exitCode, stdout } = await node.host.attempt(curl);
  if (exitCode !== 0) return undefined;
  const end = stdout.lastIndexOf('\n');
  return { code: Number(stdout.slice(end + 1)), body: stdout.slice(0, end) };
};

type Answer = Readiness & { code: number };

/** `/readyz`; throws when nobody answers. */
export const readiness = async (node: LabNode): Promise<Answer> => {
  const answer = await ask(node, '/readyz');
  if (answer === undefined) throw new Error(`the agent of ${node.name} does not answer`);
  return { ...(JSON.parse(answer.body) as Readiness), code: answer.code };
};

/** Waits until `/readyz` says something. */
export const waitForReadiness = (
  node: LabNode,
  what: string,
  is: (answer: Answer) => boolean,
): Promise<Answer> =>
  waitUntil(`${node.name} says: ${what}`, async () => {
    const answer = await ask(node, '/readyz');
    if (answer === undefined) return undefined;
    const all = { ...(JSON.parse(answer.body) as Readiness), code: answer.code };
    return is(all) && all;
  });

/** A metric: its name, with exactly its labels. */
export const metric = async (node: LabNode, name: string): Promise<number | undefined> => {
  const { body } = (await ask(node, '/metrics')) ?? { body: '' };
  const line = body.split('\n').find((candidate) => candidate.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length + 1));
};

export const has = (node: LabNode, path: string): boolean => existsSync(node.host.path(path));

export const readText = (node: LabNode, path: string): string => readFileSync(node.host.path(path), 'utf8');

export const modeOf = (node: LabNode, path: string): number => statSync(node.host.path(path)).mode & 0o777;

/** The first plugin of the conflist. */
export const conflistPlugin = (node: LabNode): { type: string; ipam: { ranges: { subnet: string }[][] } } =>
  JSON.parse(readText(node, conflist)).plugins[0];

/** `podwire agent` with these arguments only. */
export const agentCommand = (node: LabNode, ...args: string[]): Promise<Outcome> =>
  node.host.attempt([`${podwireBin}/podwire`, 'agent', ...args]);

/** The VTEP, and the routes, neighbours and FDB entries of the peers: what a sync keeps in order. */
export const vtepState = (node: LabNode): Promise<string> =>
  node.host.shell(`ip -d -o link show pwvxlan1 | sed 's/^[0-9]*: //'
    ip -o addr show pwvxlan1 | sed 's/^[0-9]*: //'
    ip route show proto 112; ip -6 route show proto 112
    ip neigh show dev pwvxlan1 | sort; bridge fdb show dev pwvxlan1 | sort`);

/** Waits until it is what it was. */
export const waitForVtepState = (node: LabNode, wanted: string): Promise<unknown> =>
  waitUntil(`the VTEP of ${node.name} is in order again`, async () => {
    const { exitCode } = await node.host.attempt(['ip', 'link', 'show', 'pwvxlan1']);
    return exitCode === 0 && (await vtepState(node).catch(() => '')) === wanted;
  });

/** The lines that an agent has logged. */
export const logLines = (outcome: Outcome): Record<string, unknown>[] =>
  outcome.stderr
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
