import { isObject } from '../cni/fields.ts';
import type { Owner } from '../filter/owner.ts';
import {
  type AttachmentRecord,
  readAttachment,
  removeAttachment,
  saveAttachment,
} from '../store/attachments.ts';
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

/** The directory of the records of attachments that have a firewall. */
export const FIREWALL_RECORDS = '/run/podwire/firewall';

/** Writes the record, before anything is changed, so that DEL and GC know what a kill may leave. Throws CniError 5. */
export const saveFirewall = (
  pod: FirewallPod,
  options: FirewallOptions,
  plan: Pick<FirewallPlan, 'backend'>,
  netns: string,
): void => {
  saveAttachment(
    {
      version: 1,
      plugin: 'firewall',
      ...pod.owner,
      netns,
      addresses: pod.addresses.map((address) => ({
        address,
        subnet: `${address}/${address.includes(':') ? 128 : 32}`,
      })),
      firewall: { ...firewallRecord(pod, options, plan) },
    },
    FIREWALL_RECORDS,
  );
};

/** What a record keeps. */
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

/** The record of an attachment's ADD. */
export const readFirewall = ({ network, containerId, ifname }: Owner): AttachmentRecord | undefined =>
  readAttachment(network, containerId, ifname, FIREWALL_RECORDS);

/** Forgets it. Throws CniError 5. */
export const forgetFirewall = ({ network, containerId, ifname }: Owner): void =>
  removeAttachment(network, containerId, ifname, FIREWALL_RECORDS);

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
