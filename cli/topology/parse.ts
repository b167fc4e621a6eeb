import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { isObject } from '../../shared/cni/fields.ts';
import type { Topology } from './model.ts';

/**
 * Reads what `podwire topology --json` printed; `file` is named in errors. Throws CniError 6 when it is no
 * JSON, 7 when it is something else or of another version.
 */
export const parseTopology = (text: string, file: string): Topology => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CniError(ErrorCode.decodingFailure, `${file} is not valid JSON`, {
      details: (cause as Error).message,
      cause,
    });
  }
  const problem = problemOf(value);
  if (problem === undefined) return value as Topology;
  throw new CniError(ErrorCode.invalidNetworkConfig, `${file} is no topology: ${problem}`, {
    details: 'It must be what "podwire topology --json" of this version printed.',
  });
};

type Check = (value: unknown, at: string) => string | undefined;

const problemOf = (value: unknown): string | undefined => {
  if (!isObject(value)) return 'it is not an object';
  if (value.version !== 1) return `"version" is ${JSON.stringify(value.version)}, not 1`;
  return listOf(node)(value.nodes, 'nodes');
};

const text: Check = (value, at) => (typeof value === 'string' ? undefined : `${at} is no text`);

const number: Check = (value, at) =>
  typeof value === 'number' && Number.isFinite(value) ? undefined : `${at} is no number`;

const oneOf =
  (...values: string[]): Check =>
  (value, at) =>
    values.includes(value as string) ? undefined : `${at} is none of ${values.join(', ')}`;

const optional =
  (check: Check): Check =>
  (value, at) =>
    value === undefined ? undefined : check(value, at);

const listOf =
  (check: Check): Check =>
  (value, at) => {
    if (!Array.isArray(value)) return `${at} is no list`;
    return value
      .map((item, index) => check(item, `${at}[${index}]`))
      .find((problem) => problem !== undefined);
  };

const object =
  (fields: Record<string, Check>): Check =>
  (value, at) => {
    if (!isObject(value)) return `${at} is no object`;
    return Object.entries(fields)
      .map(([key, check]) => check(value[key], `${at}.${key}`))
      .find((problem) => problem !== undefined);
  };

const peer = object({
  name: text,
  address: text,
  podCIDRs: listOf(text),
  via: oneOf('vxlan', 'direct'),
  problems: listOf(text),
});

const overlay = object({
  vni: number,
  port: number,
  mode: oneOf('vxlan', 'direct', 'cross-subnet'),
  device: text,
  mac: text,
  mtu: number,
  addresses: listOf(text),
  underlay: object({ device: text, address: text, mtu: number }),
  podCIDRs: listOf(text),
  peers: listOf(peer),
  problems: listOf(text),
});

const pod = object({
  containerId: text,
  network: text,
  plugin: text,
  interface: text,
  hostInterface: optional(text),
  addresses: listOf(text),
  problems: listOf(text),
});

const node = object({ name: text, overlays: listOf(overlay), pods: listOf(pod) });
