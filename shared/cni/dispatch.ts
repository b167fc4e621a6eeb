import { withAttachment, withOtherAttachments } from '../store/attachment-lock.ts';
import { aboutText, newestVersion, supportedVersions, versionsFrom } from './about.ts';
import { parseConfig, peekVersion, validAttachments } from './config.ts';
import { isDelegatedProcess } from './delegate.ts';
import { parseEnvironment } from './environment.ts';
import { CniError, ErrorCode, toCniError } from './errors.ts';
import type { Attachment, Call, Environment, Plugin } from './plugin.ts';
import { requirePrevResult } from './prev-result.ts';
import { readStdin, readStdinIfReady, surviveFileSizeLimit, writeAll } from './process-io.ts';
import { formatResult } from './result-versions.ts';
import type { JsonObject } from './types.ts';

type FindBuiltin = Call['findBuiltin'];

/** VERSION gets its input in the same instant or not at all, and must not wait on an open stdin (ms). */
const versionInputWaitMs = 100;

/**
 * One plugin call from environment and stdin to stdout and exit code (SPEC.md, "Execution protocol"):
 * exactly one result or one error object, never both. Returns the exit code.
 */
export const runPlugin = async (plugin: Plugin, findBuiltin: FindBuiltin): Promise<number> => {
  if (!process.env.CNI_COMMAND) {
    writeAll(2, aboutText(plugin.title, plugin.minVersion));
    return 0;
  }
  let stdin: Uint8Array = new Uint8Array();
  try {
    const env = parseEnvironment(process.env, plugin.knownArgs);
    if (env.command === 'VERSION') {
      printVersion(plugin, readStdinIfReady(versionInputWaitMs));
      return 0;
    }
    stdin = readStdin();
    surviveFileSizeLimit();
    await runVerb(plugin, env, stdin, findBuiltin);
    return 0;
  } catch (error) {
    printError(toCniError(error), peekVersion(stdin));
    return 1;
  }
};

const runVerb = async (
  plugin: Plugin,
  env: Environment,
  stdin: Uint8Array,
  findBuiltin: FindBuiltin,
): Promise<void> => {
  const config = parseConfig(stdin, env.command, plugin.minVersion ?? '0.1.0');
  const startedAt = performance.timeOrigin;
  const call: Call = { env, config, stdin, startedAt, findBuiltin, checkpoint: async () => {} };
  switch (env.command) {
    case 'ADD': {
      const checkpoint = watchSignals('What this ADD had made was removed again.');
      return exclusively(call, () => add(plugin, { ...call, checkpoint }), checkpoint);
    }
    case 'DEL':
      // Once it has begun it goes on to its end, as taking back half of it would help nobody.
      return exclusively(call, () => plugin.del(call), watchSignals('Nothing was removed yet.'));
    case 'CHECK':
      requirePrevResult(config, 'CHECK', 'The runtime must pass the result of the last ADD.');
      return plugin.check(call);
    case 'GC': {
      const valid = validAttachments(config.json);
      return exclusively(call, () => plugin.gc(call, valid), undefined, valid);
    }
    case 'STATUS':
      return plugin.status(call);
    case 'VERSION':
      return;
  }
};

/**
 * Lets a verb have the call's attachment to itself, or with `valid` all others of the network. One that a
 * plugin of ours called as its IPAM plugin does not ask: its caller has the attachment, and waits for it.
 */
const exclusively = async (
  { env, config }: Call,
  verb: () => void | Promise<void>,
  checkpoint: Call['checkpoint'] | undefined,
  valid?: Attachment[],
): Promise<void> => {
  if (isDelegatedProcess()) return verb();
  if (valid !== undefined) return withOtherAttachments(config.name, valid, verb);
  const owner = { network: config.name, containerId: env.containerId, ifname: env.ifname };
  return withAttachment(owner, verb, { checkpoint });
};

/** A result that can't be delivered counts as a failed ADD: what was made is undone. */
const add = async (plugin: Plugin, call: Call): Promise<void> => {
  const result = await plugin.add(call);
  try {
    await call.checkpoint();
    writeAll(1, printable(formatResult(result, call.config.cniVersion)));
  } catch (thrown) {
    throw await afterRemoval(plugin, call, toCniError(thrown));
  }
};

/** Removes what an ADD made; the error that led to it, with that of the removal in its details if that failed, too. */
const afterRemoval = async (plugin: Plugin, call: Call, error: CniError): Promise<CniError> => {
  try {
    await plugin.del({ ...call, env: { ...call.env, command: 'DEL' } });
    return error;
  } catch (thrown) {
    const { message, details } = toCniError(thrown);
    const parts = [error.details, `While undoing: ${message}.`, details];
    return new CniError(error.code, error.message, {
      details: parts.filter(Boolean).join(' '),
      cause: error,
    });
  }
};

/**
 * SIGTERM, SIGINT and SIGHUP no longer end the process but make the next checkpoint throw, so that a
 * half-done ADD is undone by the same path as any other failure. `details` tell what that means.
 */
const watchSignals = (details: string): (() => Promise<void>) => {
  let received: string | undefined;
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.on(signal, () => {
      received ??= signal;
    });
  }
  return async () => {
    // A handler runs between two turns of the event loop, so give it one.
    await new Promise((resolve) => setImmediate(resolve));
    if (received === undefined) return;
    throw new CniError(ErrorCode.interrupted, `interrupted by ${received}`, { details });
  };
};

const printVersion = ({ minVersion }: Plugin, stdin: Uint8Array): void => {
  const version = peekVersion(stdin) ?? newestVersion;
  writeAll(1, printable({ cniVersion: version, supportedVersions: [...versionsFrom(minVersion)] }));
};

const printError = (error: CniError, givenVersion: string | undefined): void => {
  const version =
    givenVersion !== undefined && supportedVersions.includes(givenVersion) ? givenVersion : newestVersion;
  const json: JsonObject = { cniVersion: version, code: error.code, msg: error.message };
  if (error.details !== undefined) json.details = error.details;
  try {
    writeAll(1, printable(json));
  } catch {
    // Nobody listens on stdout: the log is all that is left.
    writeToLog(`${[error.message, error.details].filter(Boolean).join('. ')}\n`);
  }
};

const writeToLog = (text: string): void => {
  try {
    writeAll(2, text);
  } catch {
    // Neither does anybody on stderr; the exit code still tells.
  }
};

/** Four spaces, as the reference prints. */
const printable = (json: JsonObject): string => `${JSON.stringify(json, null, 4)}\n`;
