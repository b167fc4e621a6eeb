import { readdirSync, readFileSync } from 'node:fs';
import { podwireBin } from '../../support/binaries.ts';
import {
  callPlugin,
  type PluginCall,
  type PluginOutcome,
  type PrintedResult,
} from '../../support/call-plugin.ts';
import { type Outcome, systemPath } from '../../support/process.ts';
import { leftovers, type Snapshot, snapshot } from '../../support/snapshot.ts';
import { createHost, type TestHost } from '../../support/test-host.ts';
import type { TracedSteps } from './plan.ts';
import { untilQuiet } from './quiet.ts';
import { silent } from './recoveries.ts';
import type { FaultRow, PluginConfig } from './rows.ts';
import { installWrappers, prepareWrappers, toolSteps, wrappersPath } from './tool-wrappers.ts';
import { parseTrace, programsIn, readsStdin, stepsOf, type TracedCall, tracedCalls } from './trace.ts';

export type Verb = 'ADD' | 'DEL';

const pods = ['other', 'victim'];

/**
 * A host on which calls of one row are hit: with another pod that is attached and stays, and a victim, whose
 * attachment is made and taken away again and again.
 */
export class Stage {
  readonly host: TestHost;
  readonly row: FaultRow;
  readonly victim = 'victim';
  readonly #before: Snapshot;
  readonly #prevResult: PrintedResult | undefined;

  private constructor(
    host: TestHost,
    row: FaultRow,
    before: Snapshot,
    prevResult: PrintedResult | undefined,
  ) {
    this.host = host;
    this.row = row;
    this.#before = before;
    this.#prevResult = prevResult;
  }

  /** Makes the host. Throws when an undisturbed call fails. */
  static async open(row: FaultRow): Promise<Stage> {
    const host = await createHost({ name: row.title });
    try {
      await row.prepare?.(host);
      for (const pod of pods) await host.addPod(pod);
      const others = await addBefore(host, row, 'other');
      must('ADD', await callPlugin(host, pluginCall(row, 'ADD', 'other', { prevResult: others })));
      const prevResult = await addBefore(host, row, 'victim');
      // The first life makes what stays for the next ones.
      for (const command of ['ADD', 'DEL'])
        must(command, await callPlugin(host, pluginCall(row, command, 'victim', { prevResult })));
      return new Stage(host, row, await look(host, row), prevResult);
    } catch (error) {
      await host.dispose();
      throw error;
    }
  }

  /** A call for the victim that nobody disturbs. */
  call(
    command: string,
    more: Partial<PluginCall> = {},
    prevResult = this.#prevResult,
  ): Promise<PluginOutcome> {
    return callPlugin(this.host, { ...pluginCall(this.row, command, this.victim, { prevResult }), ...more });
  }

  /** GC that knows of the other pod alone. */
  collect(): Promise<PluginOutcome> {
    const valid = { 'cni.dev/valid-attachments': [{ containerID: 'other', ifname: 'eth0' }] };
    return callPlugin(this.host, {
      ...pluginCall(this.row, 'GC', '', {}),
      config: { ...this.row.config, ...valid },
    });
  }

  /** The same call under strace. */
  straced(command: Verb, options: string[]): Promise<Outcome> {
    const { config } = pluginCall(this.row, command, this.victim, { prevResult: this.#prevResult });
    const env = {
      PATH: systemPath,
      CNI_COMMAND: command,
      CNI_CONTAINERID: this.victim,
      CNI_NETNS: `/run/netns/${this.victim}`,
      CNI_IFNAME: 'eth0',
      CNI_PATH: podwireBin,
    };
    const argv = ['strace', '-qq', ...options, `${podwireBin}/${this.row.plugin}`];
    return this.host.attempt(argv, { env, stdin: JSON.stringify(config) });
  }

  /** The call with its tools under strace, as `prepareWrappers` said. */
  withTracedTools(command: Verb): Promise<PluginOutcome> {
    return this.call(command, { env: { PATH: wrappersPath } });
  }

  /**
   * The steps of an undisturbed call and of its tools: first with all its children, to know which there are; then
   * the plugin alone, as it is traced when it is hit, since one that waits for slow children looks at the kernel
   * more often; then each child alone.
   */
  async trace(verb: Verb): Promise<TracedSteps> {
    const programs = programsIn(await this.#traced(verb, ['-f']));
    const plugin = stepsOf([...(await this.#traced(verb, [])).values()][0] ?? [], readsStdin);
    if (plugin.length === 0) throw new Error(`no step was found in the trace of ${verb}`);
    await installWrappers(this.host, programs);
    if (verb === 'DEL') must('ADD', await this.call('ADD'));
    prepareWrappers(this.host);
    must(`${verb} with its tools under strace`, await this.withTracedTools(verb));
    await untilQuiet(this.host);
    const tools = toolSteps(this.host);
    must('DEL', await this.call('DEL'));
    return { plugin, tools };
  }

  /** What is not as it was at first, as a text; undefined when everything is. */
  async difference(): Promise<string | undefined> {
    await untilQuiet(this.host);
    const { added, removed } = leftovers(this.#before, await look(this.host, this.row));
    if (added.length === 0 && removed.length === 0) return undefined;
    return [...added.map((line) => `+ ${line}`), ...removed.map((line) => `- ${line}`)].join('\n');
  }

  /**
   * Addresses that are on the victim's interface and not reserved, so that another pod could get them; read in
   * this order, as they are reserved before they are set and freed after they are gone.
   */
  async unreserved(): Promise<string[]> {
    const { ipam, name } = this.row.config as { ipam?: { type?: string }; name: string };
    if (ipam?.type !== 'host-local' && ipam?.type !== 'cluster-ipam') return [];
    const pod = this.host.pods.find((candidate) => candidate.name === this.victim);
    const addresses = (await pod?.addresses('eth0')) ?? [];
    const reserved = new Set(readdirSync(this.host.path(`/var/lib/cni/networks/${name}`)));
    return addresses
      .filter(({ scope, local }) => scope === 'global' && !reserved.has(local))
      .map(({ local }) => local);
  }

  /** What strace wrote of an undisturbed call. */
  async #traced(verb: Verb, options: string[]): Promise<Map<number, TracedCall[]>> {
    if (verb === 'DEL') must('ADD', await this.call('ADD'));
    const outcome = await this.straced(verb, [...options, '-o', '/run/trace', '-e', tracedCalls]);
    if (outcome.exitCode !== 0) throw new Error(`${verb} under strace: ${outcome.stdout}${outcome.stderr}`);
    await untilQuiet(this.host);
    must('DEL', await this.call('DEL'));
    return parseTrace(readFileSync(this.host.path('/run/trace'), 'utf8'));
  }

  dispose(): Promise<void> {
    return this.host.dispose();
  }
}

/**
 * The records in a file of host-local's index have no order: a scan of the directory writes them as it finds them. And
 * when cluster-ipam last heard from its datastore is no difference.
 */
const look = async (host: TestHost, row: FaultRow): Promise<Snapshot> => [
  ...(await snapshot(host)).map((line) => {
    const [, file, content] = /^(file \S+\/owners\/\S+) (".*")$/.exec(line) ?? [];
    if (content === undefined)
      return line.replace(/(\\"(?:confirmedAt|retryAt)\\":)\d+/g, (_, key) => `${key}0`);
    return `${file} ${JSON.stringify((JSON.parse(content) as string).split('\n').sort().join('\n'))}`;
  }),
  ...(await sysctls(host, row)),
];

/** Those that the row sets, as they are in each pod; a snapshot has none. */
const sysctls = async (host: TestHost, { config }: FaultRow): Promise<Snapshot> => {
  const names = Object.keys((config.sysctl ?? {}) as object);
  if (names.length === 0) return [];
  const files = names.map((name) => `/proc/sys/${name.replaceAll('.', '/').replace('IFNAME', 'eth0')}`);
  const values = host.pods.map(
    async (pod) => `sysctls ${pod.name}: ${await pod.exec(['grep', '-H', '', ...files])}`,
  );
  return Promise.all(values);
};

const addBefore = async (host: TestHost, { behind }: FaultRow, pod: string) => {
  if (behind === undefined) return undefined;
  const added = await callPlugin(host, pluginCall(behind, 'ADD', pod, {}));
  must(`ADD of ${behind.plugin}`, added);
  return added.result;
};

const pluginCall = (
  { plugin, config, runtimeKeys }: PluginConfig & Pick<FaultRow, 'runtimeKeys'>,
  command: string,
  pod: string,
  { prevResult }: { prevResult?: PrintedResult | undefined },
): PluginCall => ({
  binDir: podwireBin,
  plugin,
  command,
  ...(pod === '' ? {} : { containerId: pod, netns: `/run/netns/${pod}` }),
  config: {
    ...config,
    ...(pod === '' ? {} : runtimeKeys?.(pods.indexOf(pod))),
    ...(prevResult === undefined ? {} : { prevResult }),
  },
});

const must = (title: string, outcome: PluginOutcome): void => {
  const problem = silent(title, outcome);
  if (problem !== undefined) throw new Error(problem);
};
