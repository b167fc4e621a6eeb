import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { isObject, show } from '../../shared/cni/fields.ts';
import { sortOutOverlayNodes } from '../../shared/overlay/nodes.ts';
import type { OverlayNode } from '../../shared/overlay/types.ts';
import { findJsonError } from './json-error.ts';

/** What a file of nodes says. */
export interface NodeList {
  nodes: OverlayNode[];
  /** What is wrong with each entry that was left out. */
  refused: string[];
}

/**
 * Reads `{ "nodes": [ … ] }`; `file` names it in messages. Throws CniError 6, with line and column, when it is
 * not JSON, and 7 when it is something else.
 */
export const parseNodeFile = (text: string, file: string): NodeList => {
  const value = parseJson(text, file);
  if (!isObject(value) || !Array.isArray(value.nodes)) {
    throw new CniError(ErrorCode.invalidNetworkConfig, `${file} has no list "nodes", got ${show(value)}`, {
      details: FORM,
    });
  }
  return sortOutOverlayNodes(value.nodes, 'nodes');
};

const FORM = 'It has the form { "nodes": [ { "name": …, "addresses": […], "podCIDRs": […] } ] }.';

const parseJson = (text: string, file: string): unknown => {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const error = findJsonError(text);
    const problem = error === undefined ? String(cause) : error.problem;
    const place = error === undefined ? file : `${file}:${error.line}:${error.column}`;
    throw new CniError(ErrorCode.decodingFailure, `${place} is not valid JSON: ${problem}`, {
      details: FORM,
      cause,
    });
  }
};
