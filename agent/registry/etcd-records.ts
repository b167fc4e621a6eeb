import { isObject } from '../../shared/cni/fields.ts';
import { parseAddress, parseCidr } from '../../shared/kernel/address-math.ts';
import type { OverlayNode } from '../../shared/overlay/types.ts';

/** The value of a registration; the same text for the same node. */
export const formatRegistration = ({ name, addresses, podCIDRs }: OverlayNode): string =>
  JSON.stringify({ name, addresses, podCIDRs });

/** The node that a registration describes, or what is wrong with it. */
export const readRegistration = (key: string, name: string, text: string): OverlayNode | string => {
  const value = parse(text);
  if (!isObject(value)) return `${key} is no JSON object`;
  if (value.name !== name) return `${key} names ${JSON.stringify(value.name)}, not this node`;
  const { addresses, podCIDRs } = value;
  if (!isTexts(addresses) || addresses.length === 0) return `${key}: "addresses" is no list of addresses`;
  if (!isTexts(podCIDRs)) return `${key}: "podCIDRs" is no list of prefixes`;
  const address = addresses.find((text) => parseAddress(text) === undefined);
  if (address !== undefined) return `${key}: "${address}" is no address`;
  const prefix = podCIDRs.find((text) => parseCidr(text) === undefined);
  if (prefix !== undefined) return `${key}: "${prefix}" is no prefix`;
  return { name, addresses, podCIDRs };
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

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');
