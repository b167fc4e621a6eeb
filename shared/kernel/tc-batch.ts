import { CniError, ErrorCode } from '../cni/errors.ts';
import { Batch, batchFailure, failedLine, startBatchTool, type WaitingTool } from './batch.ts';
import type { CommandResult } from './command.ts';

/** Lines for `tc -batch -`. */
export class TcBatch extends Batch {
  constructor() {
    super('tc');
  }
}

export type WaitingTc = WaitingTool<TcBatch>;

/** Starts a `tc` that waits for its batch; `run` throws as `runTcBatch` does. Throws CniError 100 when there is none. */
export const startTc = (): WaitingTc => startBatchTool('tc', tcBatchFailure);

/**
 * Carries out a batch in the netns of the calling thread; an empty one starts no process. Throws CniError
 * 104 that names the queueing discipline or classifier which the kernel has not, else 100 with the line
 * that failed; the lines before it stay in force. `context` says what was attempted.
 */
export const runTcBatch = (batch: TcBatch, context: string): string =>
  batch.size === 0 ? '' : startTc().run(batch, context);

/** The error for a batch that failed. */
export const tcBatchFailure = (batch: TcBatch, result: CommandResult, context: string): CniError => {
  const failed = failedLine(batch, result);
  const feature = failed === undefined ? undefined : missingFeature(failed.line, failed.message);
  if (failed === undefined || feature === undefined) return batchFailure(batch, result, context);
  return new CniError(ErrorCode.unsupportedByKernel, `${context}: the kernel has no ${feature}`, {
    details: `Load its module, or use a kernel that has it. "tc ${failed.line}" failed: ${failed.message}`,
  });
};

/** What the kernel lacks when it refuses a line so; undefined when it refuses it for another reason. */
const missingFeature = (line: string, message: string): string | undefined => {
  if (/load TC action module/.test(message)) return 'action "mirred" (act_mirred)';
  if (/TC classifier not found/.test(message)) return `classifier "${kindOf(line)}" (cls_${kindOf(line)})`;
  if (!/qdisc kind is unknown/.test(message)) return undefined;
  return `queueing discipline "${kindOf(line)}" (sch_${kindOf(line)})`;
};

/** The first word of a line that is neither what to do, nor where: `tbf` in `qdisc add dev eth0 root tbf rate …`. */
const kindOf = (line: string): string | undefined => {
  const words = line.split(' ').slice(2);
  return words.find(
    (word, index) => word !== 'root' && !places.has(word) && !places.has(words[index - 1] ?? ''),
  );
};

const places = new Set(['dev', 'handle', 'parent', 'classid', 'protocol', 'prio']);
