import { CniError, ErrorCode, toCniError } from './errors.ts';
import { Fields, isObject, show } from './fields.ts';
import type { Attachment, Command, NetworkConfig } from './plugin.ts';
import { parseResult } from './result-versions.ts';
import type { JsonObject, Result } from './types.ts';
import { negotiateVersion } from './versions.ts';

const networkNamePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

/** A directory on disk has the network's name (NAME_MAX). */
const longestName = 255;

/**
 * A network configuration as a plugin gets it on stdin.
 * Throws CniError 6 (no JSON object), 1 (cniVersion) or 7 (name or a shared key at fault).
 */
export const parseConfig = (stdin: Uint8Array, command: Command, minVersion: string): NetworkConfig => {
  const json = parseJsonObject(stdin);
  const fields = new Fields(json);
  const cniVersion = negotiateVersion(fields.string('cniVersion') ?? '', command, minVersion);
  const name = fields.string('name') ?? '';
  if (!networkNamePattern.test(name) || name.length > longestName) {
    throw fields.invalid(
      'name',
      name === '' ? 'is missing' : 'is no network name',
      `A network name starts with a letter or digit, holds only letters, digits, "_", "." and "-", and has at most ${longestName} of them.`,
    );
  }
  return {
    cniVersion,
    name,
    type: fields.string('type') ?? '',
    json,
    prevResult: parsePrevResult(fields, cniVersion, command),
    runtimeConfig: fields.object('runtimeConfig') ?? {},
    cniArgs: fields.fields('args').object('cni') ?? {},
  };
};

/** The `cniVersion` in raw stdin, for an error object or VERSION's reply; undefined when it can't be found. */
export const peekVersion = (stdin: Uint8Array): string | undefined => {
  try {
    const version = parseJsonObject(stdin).cniVersion;
    return typeof version === 'string' && version !== '' ? version : undefined;
  } catch {
    return undefined;
  }
};

/**
 * `cni.dev/valid-attachments` of a GC call. An absent list is not an empty one: the reference runtime
 * omits it when it was given no arguments, and freeing everything then would take the network from
 * living pods. Throws CniError 7 when it is absent or malformed.
 */
export const validAttachments = (json: JsonObject): Attachment[] => {
  const fields = new Fields(json);
  const key = fields.has('cni.dev/valid-attachments') ? 'cni.dev/valid-attachments' : 'cni.dev/attachments';
  if (!fields.has(key)) {
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      'GC needs "cni.dev/valid-attachments", and the configuration has none',
      { details: 'Nothing was freed. Give the list of attachments to keep; [] frees all of this network.' },
    );
  }
  return fields.fieldsList(key).map((entry) => {
    const containerID = entry.string('containerID');
    const ifname = entry.string('ifname');
    if (containerID === undefined || containerID === '')
      throw entry.invalid('containerID', 'must be a container id');
    if (ifname === undefined || ifname === '') throw entry.invalid('ifname', 'must be an interface name');
    return { containerID, ifname };
  });
};

const parseJsonObject = (stdin: Uint8Array): JsonObject => {
  const text = new TextDecoder().decode(stdin);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new CniError(
      ErrorCode.decodingFailure,
      `the network configuration on stdin is not JSON: ${(error as Error).message.slice(0, 200)}`,
      {
        details: text.trim() === '' ? 'stdin was empty.' : `It begins with ${show(text.slice(0, 60))}.`,
      },
    );
  }
  if (isObject(json)) return json;
  throw new CniError(ErrorCode.decodingFailure, 'the network configuration on stdin is not a JSON object', {
    details: `It begins with ${show(text.slice(0, 60))}.`,
  });
};

/** DEL, GC and STATUS never fail on a bad prevResult: they do without it (SPEC.md, "DEL"). */
const parsePrevResult = (fields: Fields, cniVersion: string, command: Command): Result | undefined => {
  const needed = command === 'ADD' || command === 'CHECK';
  try {
    const json = fields.object('prevResult');
    return json === undefined ? undefined : parseResult(json, cniVersion);
  } catch (error) {
    if (!needed) return undefined;
    const { message, details } = toCniError(error);
    throw new CniError(ErrorCode.invalidNetworkConfig, `invalid "prevResult": ${message}`, {
      details,
      cause: error,
    });
  }
};
