import { CniError, ErrorCode } from '../cni/errors.ts';
import { type Fields, show } from '../cni/fields.ts';
import type { JsonObject } from '../cni/types.ts';
import type { Owner } from '../filter/owner.ts';

export type FirewallBackend = 'nftables' | 'iptables' | 'firewalld';

/** Who may reach a pod from another bridge, or from its own through the host. */
export type IngressPolicy = 'open' | 'same-bridge' | 'isolated';

/** The keys of the firewall plugin, also as an object in a network plugin's own configuration. */
export interface FirewallOptions {
  /** Undefined: see `planFirewall`. */
  backend: FirewallBackend | undefined;
  /** `iptablesAdminChainName`; undefined: CNI-ADMIN. */
  adminChain: string | undefined;
  /** `firewalldZone`. */
  zone: string;
  ingressPolicy: IngressPolicy;
}

/** The attachment that a firewall is asked for. */
export interface FirewallPod {
  owner: Owner;
  /** All addresses of the result, without prefix length. */
  addresses: string[];
  /** The first interface of the result, by which a policy tells bridges apart. */
  device: string | undefined;
  /** Whether other pods have that device, too; told from the device itself when absent. */
  deviceIsShared?: boolean;
}

const DEFAULT_ZONE = 'trusted';

/** Throws CniError 7 for a value that cannot be, 2 for a backend or policy that is not known. */
export const parseFirewallOptions = (fields: Fields): FirewallOptions => ({
  backend: oneOf(fields, 'backend', BACKENDS),
  adminChain: parseAdminChain(fields),
  zone: fields.string('firewalldZone') || DEFAULT_ZONE,
  ingressPolicy: oneOf(fields, 'ingressPolicy', POLICIES) ?? 'open',
});

/**
 * What can be understood of it, for DEL and GC, which must succeed with a configuration that ADD refused:
 * what is misspelt here, no ADD can have acted on.
 */
export const parseFirewallRemoval = (json: JsonObject): Pick<FirewallOptions, 'backend' | 'zone'> => ({
  backend: BACKENDS.find((backend) => backend === json.backend),
  zone:
    typeof json.firewalldZone === 'string' && json.firewalldZone !== '' ? json.firewalldZone : DEFAULT_ZONE,
});

const BACKENDS: readonly FirewallBackend[] = ['nftables', 'iptables', 'firewalld'];
const POLICIES: readonly IngressPolicy[] = ['open', 'same-bridge', 'isolated'];

/** An empty text counts as absent, as with the reference. */
const oneOf = <T extends string>(fields: Fields, key: string, values: readonly T[]): T | undefined => {
  const given = fields.string(key) ?? '';
  if (given === '') return undefined;
  const known = values.find((value) => value === given);
  if (known !== undefined) return known;
  throw new CniError(
    ErrorCode.unsupportedField,
    `unsupported value: "${fields.pathOf(key)}" is ${show(given)}`,
    { details: `Use one of ${values.map((value) => `"${value}"`).join(', ')}, or leave it out.` },
  );
};

/** iptables' chain names have at most 28 characters (XT_EXTENSION_MAXNAMELEN), and none of our own will do. */
const parseAdminChain = (fields: Fields): string | undefined => {
  const name = fields.string('iptablesAdminChainName') ?? '';
  if (name === '') return undefined;
  const isOwn = name === 'CNI-FORWARD' || /^CNI-ISOLATION-STAGE-/.test(name);
  if (/^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,27}$/.test(name) && !isOwn && !BUILT_IN.has(name)) return name;
  throw fields.invalid(
    'iptablesAdminChainName',
    'is no name for a chain of your own',
    'Use up to 28 letters, digits, "_", "." and "-", such as CNI-ADMIN.',
  );
};

const BUILT_IN = new Set(['FORWARD', 'INPUT', 'OUTPUT', 'ACCEPT', 'DROP', 'RETURN', 'REJECT', 'QUEUE']);
