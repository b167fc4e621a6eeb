import { toCniError } from '../../shared/cni/errors.ts';
import { isObject } from '../../shared/cni/fields.ts';
import { parseOverlayNode } from '../../shared/overlay/nodes.ts';
import type { OverlayNode } from '../../shared/overlay/types.ts';

/** The value of a registration; the same text for the same node. */
export const formatRegistration = ({ name, addresses, podCIDRs }: OverlayNode): string =>
  JSON.stringify({ name, addresses, podCIDRs });

/** The node that a registration describes, or what is wrong with it. */
export const readRegistration = (key: string, name: string, text: string): OverlayNode | string => {
  const value = parse(text);
  if (value === undefined) return `${key} is no JSON`;
  try {
    const node = parseOverlayNode(value, key);
    return node.name === name ? node : `${key} names "${node.name}" and not the node it is of`;
  } catch (error) {
    return toCniError(error).message;
  }
};

/** The instance that a liveness key names; '' when it names none. */
export const instanceOf = (text: string): string => {
  const value = parse(text);
  return isObject(value) && typeof value.instance === 'string' ? value.instance : '';
};

/** The node that a claim of a pod prefix names; '' when it names none. */
export const claimantOf = (text: string): string => {
  const value = parse(text);
  return isObject(value) && typeof value.node === 'string' ? value.node : '';
};

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};
