import type { PrintedResult } from '../../support/call-plugin.ts';
import type { Outcome } from '../../support/process.ts';
import type { Hit } from './plan.ts';
import { recover, silent } from './recoveries.ts';
import type { Stage, Verb } from './stage.ts';
import { prepareWrappers, wasKilled } from './tool-wrappers.ts';

/** How a call that was hit ended. */
export interface HitReport {
  /** The signal ended the call, or made it fail; else it came to its end. */
  took: boolean;
  /** What was wrong, for a reader. */
  problem: string | undefined;
}

/**
 * Makes one call, hits it, and sees whether all is as before after the recovery. The stage can be used again
 * when there was no problem.
 */
export const perform = async (stage: Stage, verb: Verb, hit: Hit): Promise<HitReport> => {
  if (verb === 'DEL') {
    const problem = silent('the ADD before', await stage.call('ADD'));
    if (problem !== undefined) return { took: false, problem };
  }
  const { took, problem } = await (hit.tool === undefined
    ? hitPlugin(stage, verb, hit)
    : hitTool(stage, verb, hit, hit.tool));
  return { took, problem: problem ?? (await stage.difference()) };
};

const hitPlugin = async (stage: Stage, verb: Verb, hit: Hit): Promise<HitReport> => {
  const { syscall, n } = hit.step;
  const inject = `inject=${syscall}:signal=${hit.signal}:when=${n}`;
  const outcome = await stage.straced(verb, ['-o', '/dev/null', '-e', `trace=${syscall}`, '-e', inject]);
  if (hit.recovery === undefined) return judgeStopped(stage, verb, outcome);
  const took = outcome.signal === 'SIGKILL';
  // A call may make a step less often than the one that was traced.
  if (!took && outcome.exitCode !== 0) return { took, problem: described(outcome) };
  const unreserved = await stage.unreserved();
  if (unreserved.length > 0) return { took, problem: `not reserved: ${unreserved.join(', ')}` };
  return { took, problem: await recover(stage, hit.recovery) };
};

/** A stopped ADD is undone or complete; a stopped DEL is complete or has not begun. */
const judgeStopped = async (stage: Stage, verb: Verb, outcome: Outcome): Promise<HitReport> => {
  if (outcome.exitCode === 0) return { took: false, problem: await judgeComplete(stage, verb, outcome) };
  // Before it has its handlers, it has made nothing.
  const ended = outcome.signal === 'SIGTERM' && outcome.stdout === '';
  if (!ended && codeOf(outcome) !== INTERRUPTED) return { took: true, problem: described(outcome) };
  return { took: true, problem: verb === 'DEL' ? await recover(stage, 'DEL') : undefined };
};

const hitTool = async (stage: Stage, verb: Verb, hit: Hit, role: string): Promise<HitReport> => {
  prepareWrappers(stage.host, role, hit.step);
  const outcome = await stage.withTracedTools(verb);
  const took = wasKilled(stage.host, role);
  if (outcome.exitCode === 0) return { took, problem: await judgeComplete(stage, verb, outcome) };
  if (!took || codeOf(outcome) !== COMMAND_FAILED) return { took, problem: described(outcome) };
  return { took, problem: verb === 'DEL' ? await recover(stage, 'DEL') : undefined };
};

/** A call that says it succeeded has to have. */
const judgeComplete = async (stage: Stage, verb: Verb, outcome: Outcome): Promise<string | undefined> => {
  if (verb === 'DEL') return undefined;
  const result = JSON.parse(outcome.stdout) as PrintedResult;
  return (
    silent('CHECK', await stage.call('CHECK', {}, result)) ??
    silent('DEL', await stage.call('DEL', {}, result))
  );
};

const INTERRUPTED = 106;
const COMMAND_FAILED = 100;

const codeOf = ({ stdout }: Outcome): unknown => {
  try {
    return (JSON.parse(stdout) as { code?: unknown }).code;
  } catch {
    return undefined;
  }
};

const described = ({ exitCode, signal, stdout, stderr }: Outcome): string =>
  `the call: exit ${exitCode ?? signal}: ${`${stdout}${stderr}`.replaceAll(/\s+/g, ' ')}`;
