import { CniError, ErrorCode } from '../cni/errors.ts';
import { Fields, isObject, show } from '../cni/fields.ts';
import type { JsonValue } from '../cni/types.ts';
import { readNodeAddress, readPodPrefix } from './known-texts.ts';
import { PrefixIndex } from './prefix-index.ts';
import type { OverlayNode } from './types.ts';

/**
 * The nodes of a list such as the key `peers` or a file holds, with addresses in canonical text; `where`
 * names the list in messages. Throws CniError 7 that names the first entry that is wrong: one of a wrong
 * form, a name that two have, or pod prefixes that overlap.
 */
export const parseOverlayNodes = (value: unknown, where: string): OverlayNode[] => {
  const names = new Map<string, number>();
  const nodes = listOf(value, where).map((entry, index) => parseUnique(entry, where, index, names));
  refuseOverlaps(nodes, where);
  return nodes;
};

/**
 * The same for a registry whose entries have many authors: those of a wrong form, and those whose name
 * another has already, are left out, and `refused` tells of each. Overlaps are the plan's to judge. Throws
 * CniError 7 when `value` is no list at all.
 */
export const sortOutOverlayNodes = (
  value: unknown,
  where: string,
): { nodes: OverlayNode[]; refused: string[] } => {
  const names = new Map<string, number>();
  const nodes: OverlayNode[] = [];
  const refused: string[] = [];
  for (const [index, entry] of listOf(value, where).entries()) {
    try {
      nodes.push(parseUnique(entry, where, index, names));
    } catch (error) {
      if (!(error instanceof CniError)) throw error;
      refused.push(error.message);
    }
  }
  return { nodes, refused };
};

/**
 * The nodes of a file's text, `{ "nodes": [ … ] }`; `file` names it in messages. Throws CniError 6 when it is no
 * JSON, 7 as `parseOverlayNodes`.
 */
export const parseOverlayNodesFile = (text: string, file: string): OverlayNode[] => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw new CniError(ErrorCode.decodingFailure, `${file} is not valid JSON: ${problem}`, {
      details: 'It has the form { "nodes": [ { "name": …, "addresses": […], "podCIDRs": […] } ] }.',
      cause,
    });
  }
  if (!isObject(value) || value.nodes === undefined) {
    throw new CniError(ErrorCode.invalidNetworkConfig, `${file} has no list "nodes", got ${show(value)}`, {
      details: 'It has the form { "nodes": [ { "name": …, "addresses": […], "podCIDRs": […] } ] }.',
    });
  }
  return parseOverlayNodes(value.nodes, `${file}: nodes`);
};

/** One node; `where` names the entry in messages. Throws CniError 7. */
export const parseOverlayNode = (value: unknown, where: string): OverlayNode =>
  readSound(value) ?? readOrRefuse(value, where);

/** A node that is as it must be, without the cost of being able to say what is wrong; else undefined. */
const readSound = (value: unknown): OverlayNode | undefined => {
  if (!isObject(value)) return undefined;
  const { name } = value;
  if (typeof name !== 'string' || !NODE_NAME.test(name)) return undefined;
  const addresses = readAll(value.addresses, readNodeAddress);
  const podCIDRs = readAll(value.podCIDRs, readPodPrefix);
  if (addresses === undefined || podCIDRs === undefined || addresses.length === 0) return undefined;
  return { name, addresses: addresses.length > 1 ? [...new Set(addresses)] : addresses, podCIDRs };
};

const readAll = (value: unknown, read: (text: string) => { text: string } | string): string[] | undefined => {
  if (!Array.isArray(value)) return undefined;
  const texts: string[] = [];
  for (const item of value) {
    const known = typeof item === 'string' ? read(item) : '';
    if (typeof known === 'string') return undefined;
    texts.push(known.text);
  }
  return texts;
};

const readOrRefuse = (value: unknown, where: string): OverlayNode => {
  if (!isObject(value)) {
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      `invalid configuration: "${where}" must be an object, got ${show(value)}`,
      { details: 'A node has the keys "name", "addresses" and "podCIDRs".' },
    );
  }
  const fields = new Fields(value, where);
  const name = fields.string('name');
  if (name === undefined || !NODE_NAME.test(name)) {
    throw fields.invalid('name', 'must be 1 to 253 letters, digits, ".", "_" and "-"');
  }
  const addresses = [...textsOf(fields, 'addresses').entries()].map(([index, text]) =>
    parseNodeAddress(text, fields, index),
  );
  if (addresses.length === 0) throw fields.invalid('addresses', 'must have at least one address');
  const podCIDRs = [...textsOf(fields, 'podCIDRs').entries()].map(([index, text]) =>
    parsePodPrefix(text, fields, index),
  );
  return { name, addresses: [...new Set(addresses)], podCIDRs };
};

const NODE_NAME = /^[A-Za-z0-9._-]{1,253}$/;

const listOf = (value: unknown, where: string): unknown[] => {
  if (Array.isArray(value)) return value;
  throw new CniError(
    ErrorCode.invalidNetworkConfig,
    `invalid configuration: "${where}" must be a list of nodes, got ${show(value)}`,
    { details: 'A node is { "name": …, "addresses": […], "podCIDRs": […] }.' },
  );
};

const parseUnique = (
  entry: unknown,
  where: string,
  index: number,
  names: Map<string, number>,
): OverlayNode => {
  const node = readSound(entry) ?? readOrRefuse(entry, `${where}[${index}]`);
  const first = names.get(node.name);
  if (first !== undefined) {
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      `invalid configuration: "${where}[${index}].name" is ${show(node.name)}, as is "${where}[${first}].name"`,
      { details: 'Each node needs a name of its own: the MAC of its VTEP is computed from it.' },
    );
  }
  names.set(node.name, index);
  return node;
};

const textsOf = (fields: Fields, key: string): string[] => {
  const texts = fields.strings(key);
  if (texts === undefined) throw fields.invalid(key, 'must be a list of strings');
  return texts;
};

const parseNodeAddress = (text: string, fields: Fields, index: number): string => {
  const address = readNodeAddress(text);
  if (typeof address === 'string') throw invalidItem(fields, 'addresses', index, text, address);
  return address.text;
};

const parsePodPrefix = (text: string, fields: Fields, index: number): string => {
  const prefix = readPodPrefix(text);
  if (typeof prefix === 'string') throw invalidItem(fields, 'podCIDRs', index, text, prefix);
  return prefix.text;
};

const invalidItem = (
  fields: Fields,
  key: string,
  index: number,
  text: JsonValue,
  problem: string,
): CniError =>
  new CniError(
    ErrorCode.invalidNetworkConfig,
    `invalid configuration: "${fields.pathOf(key)}[${index}]" ${problem}, got ${show(text)}`,
    { details: `Correct the ${key} of that node.` },
  );

const refuseOverlaps = (nodes: readonly OverlayNode[], where: string): void => {
  const index = new PrefixIndex<readonly [node: number, prefix: number]>();
  const pathOf = (node: number, prefix: number) => `${where}[${node}].podCIDRs[${prefix}]`;
  for (const [at, { name, podCIDRs }] of nodes.entries()) {
    for (const [item, text] of podCIDRs.entries()) {
      const prefix = readPodPrefix(text);
      if (typeof prefix === 'string') continue;
      const other = index.overlapping(prefix.cidr);
      if (other !== undefined) {
        const holder = nodes[other[0]];
        throw new CniError(
          ErrorCode.invalidNetworkConfig,
          `invalid configuration: "${pathOf(at, item)}" of the node ${show(name)} is ${text}, which overlaps ${holder?.podCIDRs[other[1]]} of the node ${show(holder?.name)} ("${pathOf(...other)}")`,
          { details: 'Every pod prefix belongs to one node.' },
        );
      }
      index.add(prefix.cidr, [at, item]);
    }
  }
};
