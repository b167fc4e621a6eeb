import type { CniError } from '../../shared/cni/errors.ts';
import type { OverlayNode } from '../../shared/overlay/types.ts';

/** What a registry tells the agent while it is watched. */
export interface RegistryListener {
  /**
   * All nodes, this one among them if it is registered: at first, after each change, and after a reconnect.
   * `refused` are entries that were left out, with what is wrong with each.
   */
  nodes(nodes: OverlayNode[], refused: string[]): void;
  /** It cannot be reached, or what it says is not valid. What was told before stays in force. */
  trouble(error: CniError): void;
}

/** Who the nodes of the cluster are: Kubernetes, etcd or a file. */
export interface Registry {
  readonly kind: 'kubernetes' | 'etcd' | 'file';
  /**
   * Makes this node known, and keeps it known until `signal` is aborted; resolves as soon as it is known.
   * Absent where nodes are made known by others. Throws CniError.
   */
  announce?(own: OverlayNode, signal: AbortSignal): Promise<void>;
  /** The nodes as they are now, once. Throws CniError. */
  list(signal: AbortSignal): Promise<{ nodes: OverlayNode[]; refused: string[] }>;
  /** Tells `listener` of the nodes until `signal` is aborted, through failures and reconnects; resolves then. */
  watch(listener: RegistryListener, signal: AbortSignal): Promise<void>;
}
