import { isObject, show } from '../../shared/cni/fields.ts';
import {
  formatAddress,
  formatCidr,
  networkOf,
  parseAddress,
  parseCidr,
} from '../../shared/kernel/address-math.ts';
import type { OverlayNode } from '../../shared/overlay/types.ts';
import type { KubernetesObject } from '../../shared/store/kubernetes/resource.ts';

/** What a Node object says of the overlay: a node of it, or why it can't be one. */
export type NodeEntry = { node: OverlayNode; refused?: never } | { refused: string; node?: never };

/**
 * Reads a Node object (https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/node-v1/): its
 * InternalIPs in their order, and `spec.podCIDRs`, or `spec.podCIDR` where an old server has only that. Undefined for
 * one that has no address or no range yet, which is how every node begins.
 */
export const readNode = (object: KubernetesObject): NodeEntry | undefined => {
  const { name } = object.metadata;
  const addresses = addressesOf(object);
  const ranges = rangesOf(object);
  if (addresses.length === 0 || ranges.length === 0) return undefined;
  const node: OverlayNode = { name, addresses: [], podCIDRs: [] };
  for (const text of addresses) {
    const address = typeof text === 'string' ? parseAddress(text) : undefined;
    if (address === undefined) return { refused: `node ${name}: InternalIP ${show(text)} is no IP address` };
    node.addresses.push(formatAddress(address));
  }
  for (const text of ranges) {
    const range = typeof text === 'string' ? parseCidr(text) : undefined;
    if (range === undefined) return { refused: `node ${name}: pod range ${show(text)} is no network` };
    node.podCIDRs.push(formatCidr(networkOf(range)));
  }
  return { node };
};

/** Whether two readings of one Node say the same. */
export const sameEntry = (a: NodeEntry, b: NodeEntry): boolean => {
  if (a.node === undefined || b.node === undefined) return a.refused === b.refused;
  return sameTexts(a.node.addresses, b.node.addresses) && sameTexts(a.node.podCIDRs, b.node.podCIDRs);
};

const addressesOf = ({ status }: KubernetesObject): unknown[] => {
  const list = isObject(status) && Array.isArray(status.addresses) ? status.addresses : [];
  return list.flatMap((entry) => (isObject(entry) && entry.type === 'InternalIP' ? [entry.address] : []));
};

const rangesOf = ({ spec }: KubernetesObject): unknown[] => {
  if (!isObject(spec)) return [];
  if (Array.isArray(spec.podCIDRs) && spec.podCIDRs.length > 0) return spec.podCIDRs;
  return spec.podCIDR === undefined || spec.podCIDR === '' ? [] : [spec.podCIDR];
};

const sameTexts = (a: string[], b: string[]): boolean =>
  a.length === b.length && a.every((text, index) => text === b[index]);
