import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { isObject, show } from '../../shared/cni/fields.ts';
import type { JsonObject } from '../../shared/cni/types.ts';

/** How a plugin's process ended. */
export interface PluginExit {
  type: string;
  stdout: string;
  stderr: string;
  exitCode: number;
  signal: string | number | null;
}

/**
 * The error of a plugin that failed: the object on its stdout, else 101 with what there is. Plugins put
 * the object on stdout, whatever the specification's overview says (cni#571).
 */
export const pluginError = ({ type, stdout, stderr, exitCode, signal }: PluginExit): CniError => {
  const end = signal === null ? `exit code ${exitCode}` : `killed by ${signal}`;
  const printed = parseJson(stdout);
  if (isObject(printed) && typeof printed.msg === 'string') {
    const code = typeof printed.code === 'number' ? printed.code : ErrorCode.delegateFailed;
    const details = typeof printed.details === 'string' ? printed.details : undefined;
    return new CniError(code, printed.msg, { details });
  }
  if (stdout.trim() !== '') {
    return new CniError(
      ErrorCode.delegateFailed,
      `plugin "${type}" failed (${end}) and printed no error object: ${show(stdout)}`,
    );
  }
  const last = stderr.trim().split('\n').at(-1) ?? '';
  return new CniError(
    ErrorCode.delegateFailed,
    `plugin "${type}" failed (${end}) ${last === '' ? 'without saying why' : `saying: ${last}`}`,
  );
};

/**
 * The result on the stdout of an ADD. One without a version has the configuration's (cni#895), an
 * empty one is an empty result. Throws CniError 101 for what is no JSON object.
 */
export const readResult = (type: string, stdout: string, configVersion: string): JsonObject => {
  const printed = parseJson(stdout);
  if (printed !== null && !isObject(printed)) {
    throw new CniError(
      ErrorCode.delegateFailed,
      `plugin "${type}" printed no result: ${stdout.trim() === '' ? 'its stdout is empty' : show(stdout)}`,
    );
  }
  const version = printed?.cniVersion;
  if (typeof version === 'string' && version !== '') return printed as JsonObject;
  return { ...printed, cniVersion: configVersion === '' ? '0.1.0' : configVersion };
};

/** Undefined for what is not JSON. */
const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};
