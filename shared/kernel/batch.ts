import { CniError, ErrorCode } from '../cni/errors.ts';
import { type CommandResult, commandFailure, runCommand, startTool } from './command.ts';

/** The tools that read commands from stdin, a line each, and stop at the first that fails. */
export type BatchTool = 'ip' | 'tc' | 'bridge';

/** Lines for `TOOL -batch -`, to be carried out in order until one fails. */
export class Batch {
  readonly tool: BatchTool;
  readonly #lines: string[] = [];

  constructor(tool: BatchTool) {
    this.tool = tool;
  }

  /**
   * Adds one command (the tool's arguments without its name). Words that are undefined or false are left
   * out. Throws CniError 7 on a word that the tool would not read as one word: what comes from a
   * configuration cannot smuggle in a second argument or command.
   */
  add(...words: (string | number | undefined | false)[]): this {
    const given = words.filter((word) => word !== undefined && word !== false).map(String);
    for (const word of given) {
      if (!isPlainWord(word)) {
        throw new CniError(
          ErrorCode.invalidNetworkConfig,
          `${JSON.stringify(word)} cannot be handed to the ${this.tool} command`,
          { details: 'It is empty or has spaces, quotes, backslashes, "#" or control characters.' },
        );
      }
    }
    if (given.length > 0) this.#lines.push(given.join(' '));
    return this;
  }

  /** Number of commands. */
  get size(): number {
    return this.#lines.length;
  }

  /** The command at an index from 0. */
  line(index: number): string | undefined {
    return this.#lines[index];
  }

  toString(): string {
    return this.#lines.map((line) => `${line}\n`).join('');
  }
}

/** Whether a batch can carry a word: none that is empty or has white space, quotes, `\`, `#` or control characters. */
export const isPlainWord = (word: string): boolean => PLAIN_WORD.test(word);

/**
 * A tool that was started ahead of its batch, in the netns of the calling thread: its own start-up
 * (about 1 ms) then goes on beside ours. It serves once.
 */
export interface WaitingTool<B extends Batch> {
  /**
   * Carries out a batch and returns what the tool printed. Throws CniError 100 with the line that failed
   * and the tool's message; the lines before it stay in force. `context` says what was attempted.
   */
  run(batch: B, context: string): string;
  /** The same in two steps: the tool works when this returns, and what is returned waits for its end, as `run`. */
  begin(batch: B, context: string): () => string;
  /** Ends one that is not needed; does nothing after `run`. */
  dismiss(): void;
}

/**
 * Starts a tool, with `options` before the lines; `failure` makes the error for a batch that failed. Throws
 * CniError 100 when it is missing.
 */
export const startBatchTool = <B extends Batch>(
  tool: BatchTool,
  failure: (batch: B, result: CommandResult, context: string) => CniError,
  options: string[] = [],
): WaitingTool<B> => {
  const child = startTool(tool, [...options, '-batch', '-']);
  let isWaiting = true;
  const begin = (batch: B, context: string): (() => string) => {
    isWaiting = false;
    child.feed({ stdin: batch.toString() });
    return () => {
      const result = child.wait();
      if (result.exitCode !== 0) throw failure(batch, result, context);
      return result.stdout;
    };
  };
  return {
    run: (batch, context) => begin(batch, context)(),
    begin,
    dismiss: () => {
      if (!isWaiting) return;
      isWaiting = false;
      child.kill();
      child.release();
    },
  };
};

/** A line of a batch that was carried out to its end, and the tool's message. */
export interface FailedLine {
  /** From 0. */
  index: number;
  line: string;
  message: string;
}

/**
 * Carries out a batch to its end, also after a line that fails, and returns those that did; an empty one
 * starts no process. Throws CniError 100 when the tool is missing, hangs, dies, or fails without saying
 * where. `context` says what was attempted.
 */
export const runWholeBatch = (batch: Batch, context: string): FailedLine[] => {
  if (batch.size === 0) return [];
  const args = ['-force', '-batch', '-'];
  const result = runCommand(batch.tool, args, { stdin: batch.toString(), timeoutMs: WHOLE_BATCH_MS });
  const failed = failedLines(batch, result.stderr);
  if (result.exitCode !== 0 && failed.length === 0) throw commandFailure(batch.tool, args, result, context);
  return failed;
};

/** What the tool says of a line stands before its report that the line failed. */
export const failedLines = (batch: Batch, stderr: string): FailedLine[] => {
  const failed: FailedLine[] = [];
  let start = 0;
  for (const match of stderr.matchAll(/Command failed -:(\d+)\n?/g)) {
    const index = Number(match[1]) - 1;
    const line = batch.line(index);
    if (line !== undefined)
      failed.push({ index, line, message: plainMessage(stderr.slice(start, match.index)) });
    start = match.index + match[0].length;
  }
  return failed;
};

/** The line of a batch that failed, and the tool's message; undefined when the tool does not say which. */
export const failedLine = (
  batch: Batch,
  { stderr }: CommandResult,
): { line: string; message: string } | undefined => {
  const at = /Command failed -:(\d+)/.exec(stderr);
  const line = at === null ? undefined : batch.line(Number(at[1]) - 1);
  if (line === undefined) return undefined;
  return { line, message: plainMessage(stderr.slice(0, at?.index)) };
};

/** The CniError 100 for a batch that failed. */
export const batchFailure = (batch: Batch, result: CommandResult, context: string): CniError => {
  const failed = failedLine(batch, result);
  const { tool } = batch;
  // An argument that the tool itself refuses ends it on the spot, without a line number.
  if (failed === undefined) return commandFailure(tool, [batch.toString().trim()], result, context);
  const { line, message } = failed;
  return new CniError(ErrorCode.commandFailed, `${context}: ${tool} ${firstWords(line)} failed: ${message}`, {
    details: `The command was "${tool} ${line}".`,
  });
};

const plainMessage = (text: string): string => text.trim().replace(ANSWER_PREFIX, '');

/** Far above what ten thousand lines take; milliseconds. */
const WHOLE_BATCH_MS = 60_000;

const PLAIN_WORD = /^[^\s"'\\#\p{Cc}]+$/u;

/** Says only that the answer is the kernel's. */
const ANSWER_PREFIX = /^(RTNETLINK answers|Error): /;

const firstWords = (line: string): string => line.split(' ', 2).join(' ');
