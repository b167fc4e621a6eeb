import type { Resource } from '../kubernetes/resource.ts';
import type { Collection } from './datastore.ts';

const group = 'ipam.podwire.dev';
const version = 'v1alpha1';

export const apiVersion = `${group}/${version}`;

/** The kinds of objects that records are, as conf/kubernetes/crds.yaml defines them. */
export const kinds: Record<Collection, { kind: string; resource: Resource }> = {
  pools: { kind: 'PodwirePool', resource: { group, version, plural: 'podwirepools' } },
  blocks: { kind: 'PodwireBlock', resource: { group, version, plural: 'podwireblocks' } },
  addresses: { kind: 'PodwireAddress', resource: { group, version, plural: 'podwireaddresses' } },
};
