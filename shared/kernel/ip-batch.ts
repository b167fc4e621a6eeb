import { CniError, ErrorCode } from '../cni/errors.ts';
import { type CommandResult, commandFailure, startTool } from './command.ts';

/** Lines for `ip -batch -`, to be carried out in order until one fails. */
export class IpBatch {
  readonly #lines: string[] = [];

  /**
   * Adds one command (`ip`'s arguments without `ip`). Words that are undefined or false are left out.
   * Throws CniError 7 on a word that ip would not read as one word: what comes from a configuration
   * cannot smuggle in a second argument or command.
   */
  add(...words: (string | number | undefined | false)[]): this {
    const given = words.filter((word) => word !== undefined && word !== false).map(String);
    for (const word of given) {
      if (!isPlainWord(word)) {
        throw new CniError(
          ErrorCode.invalidNetworkConfig,
          `${JSON.stringify(word)} cannot be handed to the ip command`,
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
 * An `ip` that was started ahead of its batch, in the netns of the calling thread: its own start-up
 * (about 1 ms) then goes on beside ours. It serves once.
 */
export interface WaitingIp {
  /** As `runIpBatch`. */
  run(batch: IpBatch, context: string): string;
  /** Ends one that is not needed; does nothing after `run`. */
  dismiss(): void;
}

/** Starts it. Throws CniError 100 when there is no `ip`. */
export const startIp = (): WaitingIp => {
  const child = startTool('ip', BATCH_ARGS);
  let isWaiting = true;
  return {
    run: (batch, context) => {
      isWaiting = false;
      child.feed({ stdin: batch.toString() });
      const result = child.wait();
      if (result.exitCode !== 0) throw ipBatchFailure(batch, result, context);
      return result.stdout;
    },
    dismiss: () => {
      if (!isWaiting) return;
      isWaiting = false;
      child.kill();
      child.release();
    },
  };
};

/**
 * Carries out a batch in the netns of the calling thread and returns what ip printed; an empty batch
 * starts no process. Throws CniError 100 with the line that failed and ip's message; the lines before it
 * stay in force. `context` says what was attempted.
 */
export const runIpBatch = (batch: IpBatch, context: string): string =>
  batch.size === 0 ? '' : startIp().run(batch, context);

/** ip's arguments to read a batch from stdin. */
const BATCH_ARGS = ['-batch', '-'];

/** The CniError 100 for a batch that failed. */
export const ipBatchFailure = (batch: IpBatch, result: CommandResult, context: string): CniError => {
  const at = /Command failed -:(\d+)/.exec(result.stderr);
  const line = at === null ? undefined : batch.line(Number(at[1]) - 1);
  // An argument that ip itself refuses ends it on the spot, without a line number.
  if (line === undefined) return commandFailure('ip', [batch.toString().trim()], result, context);
  const message = result.stderr.slice(0, at?.index).trim().replace(ANSWER_PREFIX, '');
  return new CniError(ErrorCode.commandFailed, `${context}: ip ${firstWords(line)} failed: ${message}`, {
    details: `The command was "ip ${line}".`,
  });
};

const PLAIN_WORD = /^[^\s"'\\#\p{Cc}]+$/u;

/** Says only that the answer is the kernel's. */
const ANSWER_PREFIX = /^(RTNETLINK answers|Error): /;

const firstWords = (line: string): string => line.split(' ', 2).join(' ');
