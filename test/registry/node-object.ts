import type { JsonObject } from '../../shared/cni/types.ts';

export interface NodeDescription {
  name: string;
  addresses?: string[];
  podCIDRs?: string[];
  /** Anything that differs from one heartbeat to the next. */
  heartbeat?: string;
}

/** A Node object with the parts that a registry reads, and some that it does not. */
export const nodeObject = ({
  name,
  addresses = [],
  podCIDRs = [],
  heartbeat = '',
}: NodeDescription): JsonObject => ({
  kind: 'Node',
  apiVersion: 'v1',
  metadata: { name, labels: { 'kubernetes.io/hostname': name } },
  spec: podCIDRs.length === 0 ? {} : { podCIDR: podCIDRs[0] ?? '', podCIDRs },
  status: {
    addresses: [
      { type: 'Hostname', address: name },
      ...addresses.map((address) => ({ type: 'InternalIP', address })),
      { type: 'ExternalIP', address: '203.0.113.1' },
    ],
    conditions: [{ type: 'Ready', status: 'True', message: heartbeat }],
  },
});
