import pino, { type Logger } from 'pino';
import type { CniError } from '../shared/cni/errors.ts';

export type Log = Logger;

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

export type LogLevel = (typeof LOG_LEVELS)[number];

/** JSON lines on stderr, with the node's name in each; written before the call returns. */
export const createLog = (level: LogLevel, node: string): Log => {
  const destination = pino.destination({ dest: 2, sync: true });
  // Whoever reads the log may go away: that is no reason to stop.
  destination.on('error', () => {});
  const options = {
    level,
    base: { node },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return pino(options, destination);
};

/** An error as fields of a log line. */
export const errorFields = ({ code, message, details }: CniError) => ({
  error: message,
  code,
  ...(details === undefined ? {} : { details }),
});

/** Identical failures in a row are logged once, then counted, and told of again this often (ms). */
const REMINDER_MS = 600_000;

/** Logs a thing that can fail again and again: without a flood, and with its end. */
export class FailureLog {
  readonly #log: Log;
  readonly #what: string;
  #message: string | undefined;
  #count = 0;
  #since = 0;
  #told = 0;

  /** `what` failed: `the sync`. */
  constructor(log: Log, what: string) {
    this.#log = log;
    this.#what = what;
  }

  failed(error: CniError): void {
    const now = Date.now();
    this.#count += 1;
    if (this.#since === 0) this.#since = now;
    if (error.message === this.#message && now - this.#told < REMINDER_MS) return;
    const times = this.#count === 1 ? {} : { failures: this.#count, since: isoTime(this.#since) };
    this.#message = error.message;
    this.#told = now;
    this.#log.error({ ...errorFields(error), ...times }, `${this.#what} failed`);
  }

  succeeded(): void {
    if (this.#count === 0) return;
    const { failures, since } = { failures: this.#count, since: isoTime(this.#since) };
    this.#log.info({ failures, since }, `${this.#what} works again`);
    this.#message = undefined;
    this.#count = 0;
    this.#since = 0;
  }
}

const isoTime = (ms: number): string => new Date(ms).toISOString();
