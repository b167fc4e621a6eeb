import { formatCidr, networkOf, parseCidr } from '../shared/kernel/address-math.ts';
import { invalidFlag, listOf, oneOf, wholeNumber, wrongFlags } from './flag-values.ts';

/** The flags that choose the registry, as they were given. */
export interface RegistryFlags {
  registry?: string;
  registryFile?: string;
  kubeconfig?: string;
  etcdEndpoints?: string[];
  etcdCacert?: string;
  etcdCert?: string;
  etcdKey?: string;
  etcdUser?: string;
  etcdPasswordFile?: string;
  etcdPrefix?: string;
  etcdGrace?: string;
  podCidrs?: string[];
  clusterCidrs?: string[];
}

export type RegistrySettings =
  | { kind: 'file'; file: string }
  | { kind: 'kubernetes'; kubeconfig: string | undefined }
  | EtcdRegistrySettings;

export interface EtcdRegistrySettings {
  kind: 'etcd';
  endpoints: string[];
  cacert: string | undefined;
  cert: string | undefined;
  key: string | undefined;
  user: string | undefined;
  passwordFile: string | undefined;
  prefix: string | undefined;
  /** How long a node that shows no sign of life stays a peer; undefined: the registry's own default. */
  graceSeconds: number | undefined;
  /** This node's pod ranges, which it tells the others; without any, it claims its own of `clusterCIDRs`. */
  podCIDRs: string[];
  clusterCIDRs: string[];
}

/** Throws CniError 7 that names the flag that is missing, wrong, or of another registry. */
export const parseRegistrySettings = (flags: RegistryFlags): RegistrySettings => {
  const settings = parseRegistryAccess(flags);
  if (settings.kind === 'etcd' && settings.podCIDRs.length + settings.clusterCIDRs.length === 0)
    throw missingFor('etcd', '--pod-cidrs or --cluster-cidrs');
  return settings;
};

/** The same for who takes a node out of the registry: it has nothing to tell of the node. */
export const parseRegistryAccess = (flags: RegistryFlags): RegistrySettings => {
  const kind = oneOf('--registry', flags.registry, ['file', 'kubernetes', 'etcd']);
  if (kind === undefined) {
    throw wrongFlags(
      '--registry is missing',
      'Say who knows the nodes: --registry kubernetes, etcd or file.',
    );
  }
  refuseOthers(kind, flags);
  if (kind === 'file')
    return { kind, file: absolute('--registry-file', needed(kind, '--registry-file', flags.registryFile)) };
  if (kind === 'kubernetes') {
    return { kind, kubeconfig: flags.kubeconfig && absolute('--kubeconfig', flags.kubeconfig) };
  }
  const endpoints = listOf(flags.etcdEndpoints);
  if (endpoints.length === 0) throw missingFor(kind, '--etcd-endpoints');
  const podCIDRs = listOf(flags.podCidrs).map((text) => parsePrefixes('--pod-cidrs', text));
  const clusterCIDRs = listOf(flags.clusterCidrs).map((text) => parsePrefixes('--cluster-cidrs', text));
  if (podCIDRs.length > 0 && clusterCIDRs.length > 0) {
    throw wrongFlags(
      '--pod-cidrs and --cluster-cidrs exclude each other',
      "Give this node's pod ranges, or the cluster's, of which it claims its own.",
    );
  }
  return {
    kind,
    endpoints,
    cacert: flags.etcdCacert,
    cert: flags.etcdCert,
    key: flags.etcdKey,
    user: flags.etcdUser,
    passwordFile: flags.etcdPasswordFile,
    prefix: flags.etcdPrefix,
    graceSeconds: wholeNumber('--etcd-grace', flags.etcdGrace, 1, 31_536_000),
    podCIDRs,
    clusterCIDRs,
  };
};

/** Which registry each flag is of. */
const OWNERS = {
  registryFile: ['--registry-file', 'file'],
  kubeconfig: ['--kubeconfig', 'kubernetes'],
  etcdEndpoints: ['--etcd-endpoints', 'etcd'],
  etcdCacert: ['--etcd-cacert', 'etcd'],
  etcdCert: ['--etcd-cert', 'etcd'],
  etcdKey: ['--etcd-key', 'etcd'],
  etcdUser: ['--etcd-user', 'etcd'],
  etcdPasswordFile: ['--etcd-password-file', 'etcd'],
  etcdPrefix: ['--etcd-prefix', 'etcd'],
  etcdGrace: ['--etcd-grace', 'etcd'],
  podCidrs: ['--pod-cidrs', 'etcd'],
  clusterCidrs: ['--cluster-cidrs', 'etcd'],
} as const satisfies Partial<Record<keyof RegistryFlags, readonly [string, string]>>;

const refuseOthers = (kind: string, flags: RegistryFlags): void => {
  for (const [key, [flag, owner]] of Object.entries(OWNERS)) {
    if (owner === kind || flags[key as keyof typeof OWNERS] === undefined) continue;
    const reason =
      key === 'podCidrs'
        ? `The ${kind} registry says itself which prefixes a node's pods have.`
        : `It belongs to --registry ${owner}.`;
    throw wrongFlags(`${flag} makes no sense with --registry ${kind}`, reason);
  }
};

const needed = (kind: string, flag: string, value: string | undefined): string => {
  if (value !== undefined) return value;
  throw missingFor(kind, flag);
};

const missingFor = (kind: string, flag: string) =>
  wrongFlags(`--registry ${kind} needs ${flag}`, 'See "podwire agent --help".');

const absolute = (flag: string, path: string): string => {
  if (path.startsWith('/')) return path;
  throw invalidFlag(flag, path, 'must be an absolute path');
};

const parsePrefixes = (flag: string, text: string): string => {
  const cidr = parseCidr(text);
  if (cidr === undefined) throw invalidFlag(flag, text, 'must be prefixes such as 10.244.1.0/24');
  const network = formatCidr(networkOf(cidr));
  if (network === formatCidr(cidr)) return network;
  throw invalidFlag(flag, text, `must be network addresses such as ${network}`);
};
