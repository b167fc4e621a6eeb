import { CniError } from '../shared/cni/errors.ts';
import type { JsonObject } from '../shared/cni/types.ts';
import type { Style } from './terminal.ts';

/** An error that a plugin reported, or that calling it ended with. */
export class PluginFailure extends CniError {
  /** Which plugin of which network and verb: `bridge (plugin 1 of 2 of network "pods", ADD)`. */
  readonly origin: string;
  readonly cniVersion: string;

  constructor(error: CniError, origin: string, cniVersion: string) {
    super(error.code, error.message, { details: error.details, cause: error });
    this.origin = origin;
    this.cniVersion = cniVersion;
  }
}

/** A failure that the command has shown in its own way: only the exit code is left. */
export class ReportedFailure extends Error {}

/** The error object of the specification (SPEC.md, "Error"), for `--json`. */
export const errorObject = (error: CniError): JsonObject => ({
  ...(error instanceof PluginFailure && error.cniVersion !== '' ? { cniVersion: error.cniVersion } : {}),
  code: error.code,
  msg: error.message,
  ...(error.details === undefined ? {} : { details: error.details }),
});

/** The same for people: what went wrong, what to do, which plugin said so. */
export const renderError = (error: CniError, style: Style): string => {
  const lines = [`${style.red(style.bold(`error ${error.code}:`))} ${error.message}`];
  if (error.details !== undefined && error.details !== '') {
    lines.push(
      ...error.details
        .trimEnd()
        .split('\n')
        .map((line) => `  ${line}`),
    );
  }
  if (error instanceof PluginFailure) lines.push(style.dim(`  from ${error.origin}`));
  return `${lines.join('\n')}\n`;
};
