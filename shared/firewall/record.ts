import { isObject } from '../cni/fields.ts';
import type { AttachmentRecord } from '../store/attachments.ts';
import type { FirewallPlan } from './firewall.ts';
import type { FirewallBackend, FirewallOptions, FirewallPod, IngressPolicy } from './options.ts';

/** What an attachment's record keeps of its firewall, under the key `firewall`. */
export interface FirewallRecord {
  /** What was given or chosen. */
  backend: FirewallBackend;
  adminChain?: string;
  zone: string;
  ingressPolicy: IngressPolicy;
  device?: string;
}

/** For the record that ADD writes before it changes anything. */
export const firewallRecord = (
  { device }: FirewallPod,
  { adminChain, zone, ingressPolicy }: FirewallOptions,
  { backend }: Pick<FirewallPlan, 'backend'>,
): FirewallRecord => ({
  backend,
  ...(adminChain === undefined ? {} : { adminChain }),
  zone,
  ingressPolicy,
  ...(device === undefined ? {} : { device }),
});

/** What an ADD was asked for, to plan it again: for DEL, CHECK and repair. Undefined without a firewall. */
export const recordedFirewall = (
  record: AttachmentRecord | undefined,
): { pod: FirewallPod; options: FirewallOptions & { backend: FirewallBackend } } | undefined => {
  const kept = record?.firewall;
  if (record === undefined || !isFirewallRecord(kept)) return undefined;
  const { network, containerId, ifname, addresses } = record;
  const { backend, adminChain, zone, ingressPolicy, device } = kept;
  return {
    pod: {
      owner: { network, containerId, ifname },
      addresses: addresses.map(({ address }) => address),
      device,
    },
    options: { backend, adminChain, zone, ingressPolicy },
  };
};

const isFirewallRecord = (value: unknown): value is FirewallRecord =>
  isObject(value) && ['backend', 'zone', 'ingressPolicy'].every((key) => typeof value[key] === 'string');
