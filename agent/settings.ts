import { hostname } from 'node:os';
import type { FilterBackend } from '../shared/filter/backend.ts';
import { formatAddress, parseAddress } from '../shared/kernel/address-math.ts';
import { parsePrefix } from '../shared/overlay/nat-plan.ts';
import { type OverlaySettings, overlayDefaults } from '../shared/overlay/types.ts';
import { invalidFlag, listOf, oneOf, wholeNumber } from './flag-values.ts';
import { LOG_LEVELS, type LogLevel } from './log.ts';
import {
  parseRegistryAccess,
  parseRegistrySettings,
  type RegistryFlags,
  type RegistrySettings,
} from './registry-settings.ts';

/** The flags of `podwire agent` as they were given; undefined where one was not. */
export interface AgentFlags extends RegistryFlags {
  node?: string;
  vni?: string;
  port?: string;
  underlay?: string;
  mtu?: string;
  mode?: string;
  natOutgoing?: boolean;
  natExclude?: string[];
  natBackend?: string;
  forwardRules?: boolean;
  syncInterval?: string;
  cniConfDir?: string;
  conflistTemplate?: string;
  ipamConfig?: string;
  healthAddress?: string;
  logLevel?: string;
}

export interface HealthAddress {
  hostname: string;
  port: number;
}

/** What `--cleanup` needs to know. */
export interface CleanupSettings {
  node: string;
  vni: number;
  confDir: string;
  logLevel: LogLevel;
  /** Undefined when none is given: nothing but this node is cleaned up then. */
  registry: RegistrySettings | undefined;
}

export interface AgentSettings extends Omit<CleanupSettings, 'registry'> {
  overlay: OverlaySettings;
  registry: RegistrySettings;
  nat: { enabled: boolean; excluded: string[]; backend: FilterBackend | undefined };
  /** Whether iptables is made to accept what is forwarded from and to pods. */
  forwardRules: boolean;
  syncIntervalMs: number;
  conflistTemplate: string | undefined;
  /** A file with the configuration of cluster-ipam for the node's network. */
  ipamConfig: string | undefined;
  /** Undefined: no server. */
  health: HealthAddress | undefined;
}

export const agentDefaults = {
  confDir: '/etc/cni/net.d',
  healthAddress: '127.0.0.1:18472',
  syncInterval: '30',
  logLevel: 'info',
} as const;

type Environment = Record<string, string | undefined>;

/** Throws CniError 7 that names the flag and its value. */
export const parseAgentSettings = (flags: AgentFlags, env: Environment = process.env): AgentSettings => {
  const cleanup = parseCleanupSettings(flags, env);
  return {
    ...cleanup,
    overlay: {
      vni: cleanup.vni,
      port: wholeNumber('--port', flags.port, 1, 65_535) ?? overlayDefaults.port,
      mode: oneOf('--mode', flags.mode, ['vxlan', 'direct', 'cross-subnet']) ?? overlayDefaults.mode,
      underlay: parseUnderlay(flags.underlay),
      mtu: wholeNumber('--mtu', flags.mtu, 576, 65_535),
    },
    registry: parseRegistrySettings(flags),
    nat: {
      enabled: flags.natOutgoing ?? true,
      excluded: listOf(flags.natExclude).map(parseExcluded),
      backend: oneOf('--nat-backend', flags.natBackend, ['nftables', 'iptables']),
    },
    forwardRules: flags.forwardRules ?? true,
    syncIntervalMs:
      1000 *
      (wholeNumber('--sync-interval', flags.syncInterval, 1, 86_400) ?? Number(agentDefaults.syncInterval)),
    conflistTemplate: flags.conflistTemplate,
    ipamConfig: flags.ipamConfig,
    health: parseHealthAddress(flags.healthAddress ?? agentDefaults.healthAddress),
  };
};

/** Of what was given, only what removing needs. Throws CniError 7 that names the flag and its value. */
export const parseCleanupSettings = (flags: AgentFlags, env: Environment = process.env): CleanupSettings => ({
  node: parseNodeName(flags.node, env),
  vni: wholeNumber('--vni', flags.vni, 1, 0xff_ff_ff) ?? overlayDefaults.vni,
  confDir: parseDirectory('--cni-conf-dir', flags.cniConfDir ?? agentDefaults.confDir),
  logLevel: oneOf('--log-level', flags.logLevel, LOG_LEVELS) ?? agentDefaults.logLevel,
  registry: flags.registry === undefined ? undefined : parseRegistryAccess(flags),
});

/** By flag, by the environment (a DaemonSet's `fieldRef: spec.nodeName`), or the host's name, as kubelet has it. */
const parseNodeName = (flag: string | undefined, env: Environment): string => {
  const [source, name] =
    flag !== undefined
      ? ['--node', flag]
      : env.NODE_NAME
        ? ['NODE_NAME', env.NODE_NAME]
        : ["the host's name", hostname().toLowerCase()];
  if (/^[A-Za-z0-9._-]{1,253}$/.test(name)) return name;
  throw invalidFlag(source, name, 'must be 1 to 253 letters, digits, ".", "_" and "-"');
};

const parseUnderlay = (text: string | undefined): string | undefined => {
  if (text === undefined) return undefined;
  const address = parseAddress(text);
  if (address !== undefined) return formatAddress(address);
  if (/^[^\s/:"'\\#]{1,15}$/.test(text)) return text;
  throw invalidFlag('--underlay', text, 'must be the name of a network device or an address of one');
};

const parseExcluded = (text: string): string => {
  if (parsePrefix(text) !== undefined) return text;
  throw invalidFlag('--nat-exclude', text, 'must be prefixes such as 192.0.2.0/24, or addresses');
};

const parseDirectory = (flag: string, text: string): string => {
  if (text.startsWith('/')) return text.replace(/(?<=.)\/+$/, '');
  throw invalidFlag(flag, text, 'must be an absolute path');
};

/** `host:port` with an address of this host, IPv6 in brackets, or `off`. */
const parseHealthAddress = (text: string): HealthAddress | undefined => {
  if (text === 'off') return undefined;
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const address = host === undefined ? undefined : parseAddress(host);
  if (address !== undefined && port !== undefined && Number(port) <= 65_535) {
    return { hostname: formatAddress(address), port: Number(port) };
  }
  throw invalidFlag(
    '--health-address',
    text,
    'must be an address and a port, such as 127.0.0.1:18472 or [::1]:18472, or "off"',
  );
};
