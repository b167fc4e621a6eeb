import type { JsonValue } from '../cni/types.ts';

/** The plugin on whose behalf a pod is attached. */
export interface Attacher {
  /** Type name, as records have it. */
  plugin: string;
  /** What its records have besides. */
  record?: Record<string, JsonValue>;
  /** Makes what the host needs besides: when the pod has its addresses, before anything else is made. */
  prepareHost?: () => Promise<void>;
}
