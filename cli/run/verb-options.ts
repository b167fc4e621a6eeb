import type { Attachment } from '../../shared/cni/plugin.ts';
import type { JsonObject } from '../../shared/cni/types.ts';

/** The flags of `podwire run`, as commander hands them over; each verb has some of them. */
export interface VerbOptions {
  confDir?: string;
  binDir?: string[];
  cacheDir?: string;
  /** Milliseconds. */
  timeout?: number;
  json?: boolean;
  ifname?: string;
  containerId?: string;
  args?: [string, string][];
  capabilityArgs?: JsonObject;
  port?: JsonObject[];
  bandwidth?: JsonObject;
  mac?: string;
  ip?: string[];
  keep?: boolean;
  keepAttachment?: Attachment[];
  keepCached?: boolean;
  keepNone?: boolean;
}
