import { readdirSync, readFileSync } from 'node:fs';
import type { PrintedResult } from '../../support/call-plugin.ts';
import { resultIn } from './printed-result.ts';
import type { NetworkConfig, Trial } from './trial.ts';

const directory = '/run/delegates';

/** One call that the delegate got. */
export interface DelegateCall {
  command: string;
  env: Record<string, string>;
  stdin: string;
}

/**
 * An IPAM plugin `fake` that writes down its calls. It gives 10.77.0.5/24 on ADD and succeeds otherwise,
 * except where `on` says what it does instead.
 */
export class FakeDelegate {
  readonly trial: Trial;
  /** Directories for CNI_PATH. */
  readonly path: string[];
  /** A network of the plugin under test with this delegate. */
  readonly config: NetworkConfig;
  /** What it prints on ADD. */
  readonly result: PrintedResult;

  private constructor(trial: Trial) {
    this.trial = trial;
    this.path = [directory, trial.subject.binDir];
    this.config = trial.config({ ipam: { type: 'fake', note: ['whole', 1] } });
    this.result = resultIn(trial.version, { address: '10.77.0.5/24', gateway: '10.77.0.1' });
  }

  static async install(trial: Trial): Promise<FakeDelegate> {
    const delegate = new FakeDelegate(trial);
    await trial.host.shell(
      `mkdir -p ${directory}/calls; cat >${directory}/fake; chmod 755 ${directory}/fake`,
      { stdin: script },
    );
    await delegate.on('ADD', delegate.answer());
    return delegate;
  }

  /** Sets what a verb does, as a shell script. */
  async on(command: string, body: string): Promise<void> {
    await this.trial.host.shell(`cat >${directory}/on.${command}`, { stdin: body });
  }

  /** A script that prints a result, the delegate's own unless given. */
  answer(result: object = this.result): string {
    return `echo '${JSON.stringify(result)}'`;
  }

  /** A script that fails with an error object. */
  failure(code: number, msg: string): string {
    return `echo '${JSON.stringify({ cniVersion: this.trial.version, code, msg })}'; exit 1`;
  }

  /** The calls since the start or the last `forget`, in order. */
  calls(): DelegateCall[] {
    const root = this.trial.host.path(`${directory}/calls`);
    return readdirSync(root)
      .toSorted((a, b) => Number(a) - Number(b))
      .map((name) => {
        const variables = readFileSync(`${root}/${name}/env`, 'utf8').split('\n');
        const env = Object.fromEntries(
          variables.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
        );
        const stdin = readFileSync(`${root}/${name}/stdin`, 'utf8');
        return { command: env.CNI_COMMAND ?? '', env, stdin };
      });
  }

  /** The verbs of those calls. */
  verbs(): string[] {
    return this.calls().map(({ command }) => command);
  }

  async forget(): Promise<void> {
    await this.trial.host.shell(`rm -rf ${directory}/calls/*`);
  }
}

const script = `#!/bin/sh
set -- ${directory}/calls/*
[ -e "$1" ] || shift
call=${directory}/calls/$#
/bin/mkdir $call
/usr/bin/env >$call/env
/bin/cat >$call/stdin
[ ! -e ${directory}/on.$CNI_COMMAND ] || . ${directory}/on.$CNI_COMMAND
`;
