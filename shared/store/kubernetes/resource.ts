import type { JsonObject } from '../../cni/types.ts';

/** A kind of objects by its place in the API. */
export interface Resource {
  /** `''` for the core group. */
  group: string;
  version: string;
  /** `nodes` */
  plural: string;
  namespace?: string;
}

export const nodesResource: Resource = { group: '', version: 'v1', plural: 'nodes' };

export const namespacesResource: Resource = { group: '', version: 'v1', plural: 'namespaces' };

/** An object as the API server has it; what is below `metadata` depends on its kind. */
export type KubernetesObject = JsonObject & { metadata: ObjectMetadata };

// Types and not interfaces: only these can be given where a JsonObject is wanted.
export type ObjectMetadata = JsonObject & {
  name: string;
  uid?: string;
  resourceVersion?: string;
  labels?: JsonObject;
};

/** What a request does, as RBAC calls it. */
export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'delete';

/** The path of all objects of a kind, or of the one named, or of a part of that such as `status`. */
export const resourcePath = (
  { group, version, plural, namespace }: Resource,
  name?: string,
  part?: string,
): string =>
  [
    group === '' ? '/api' : `/apis/${group}`,
    version,
    ...(namespace === undefined ? [] : ['namespaces', namespace]),
    plural,
    ...(name === undefined ? [] : [name]),
    ...(part === undefined ? [] : [part]),
  ]
    .map((piece, index) => (index === 0 ? piece : encodeURIComponent(piece)))
    .join('/');

/** As RBAC and kubectl write it: `nodes`, `podwireblocks.ipam.podwire.dev`. */
export const resourceName = ({ group, plural }: Resource): string =>
  group === '' ? plural : `${plural}.${group}`;
