import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { Fields, show } from '../../shared/cni/fields.ts';
import type { Call } from '../../shared/cni/plugin.ts';
import { parseMac } from '../../shared/kernel/mac.ts';
import { duplicateKeys } from './duplicate-keys.ts';

/** What the interface is to have; undefined: as it is. */
export interface Attributes {
  mac?: string | undefined;
  /** Bytes. */
  mtu?: number | undefined;
  promisc?: boolean | undefined;
  allmulti?: boolean | undefined;
  /** Packets. */
  txQLen?: number | undefined;
}

export interface TuningConfig {
  sysctls: Sysctl[];
  attributes: Attributes;
  /** Where originals are kept. */
  dataDir: string;
}

export interface Sysctl {
  /** As the configuration writes it. */
  key: string;
  /** Below /proc/sys: the first of them that exists is meant. */
  names: string[];
  value: string;
}

const DEFAULT_DATA_DIR = '/run/cni/tuning';

/** Throws CniError 7 that names the key at fault. */
export const parseTuningConfig = ({ config, env, stdin }: Call): TuningConfig => {
  const fields = new Fields(config.json);
  const args = new Fields(config.cniArgs, 'args.cni');
  requireUniqueKeys(stdin);
  const isPromisc = args.boolean('promisc') ?? fields.boolean('promisc') ?? false;
  return {
    sysctls: mergeSysctls(parseSysctls(fields, env.ifname), parseSysctls(args, env.ifname)),
    attributes: {
      mac: requestedMac({ config, env }),
      // 0 means "not given" to the reference, and so does a false "promisc".
      mtu: (args.integer('mtu', 0, MAX_MTU) ?? fields.integer('mtu', 0, MAX_MTU)) || undefined,
      promisc: isPromisc || undefined,
      allmulti: args.boolean('allmulti') ?? fields.boolean('allmulti'),
      txQLen: args.integer('txQLen', 0, MAX_QUEUE) ?? fields.integer('txQLen', 0, MAX_QUEUE),
    },
    dataDir: parseDataDir(config.json),
  };
};

/** `dataDir` alone, for DEL and GC, which take a configuration that ADD refused. */
export const parseDataDir = (json: Call['config']['json']): string => {
  const given = new Fields(json).raw('dataDir');
  return typeof given === 'string' && given !== '' ? given : DEFAULT_DATA_DIR;
};

/**
 * The files that a key may mean, below /proc/sys: as the reference reads it, with every dot a slash, and as
 * sysctl(8) does, for an interface whose name has a dot (`net/ipv4/conf/eth0.5/arp_filter`,
 * `net.ipv4.conf.eth0/5.arp_filter`). `IFNAME`, the first one, stands for the interface. Undefined unless all
 * are below net/.
 */
export const sysctlNames = (key: string, ifname: string): string[] | undefined => {
  const swapped = { '.': '/', '/': '.' } as const;
  const separator = /[./]/.exec(key)?.[0];
  const asSysctl = separator === '/' ? key : key.replace(/[./]/g, (sign) => swapped[sign as '.' | '/']);
  const names = [...new Set([key.replaceAll('.', '/'), asSysctl])]
    .map((name) => name.replace(/\/+/g, '/').replace(/^\/|\/$/g, ''))
    .map((name) => name.replace('IFNAME', () => ifname));
  const isNet = (name: string): boolean =>
    /^net\/./.test(name) && !name.split('/').some((part) => /^\.\.?$/.test(part));
  return names.every(isNet) ? names : undefined;
};

/** Of two settings for one file, the later. */
const mergeSysctls = (first: Sysctl[], second: Sysctl[]): Sysctl[] => [
  ...first.filter(({ names }) => !second.some((other) => other.names[0] === names[0])),
  ...second,
];

const MAX_MTU = 0x7fffffff;
const MAX_QUEUE = 0x7fffffff;

const parseSysctls = (fields: Fields, ifname: string): Sysctl[] => {
  const values = fields.fields('sysctl');
  const sysctls = Object.keys(fields.object('sysctl') ?? {}).map((key) => {
    const names = sysctlNames(key, ifname);
    if (names === undefined)
      throw values.invalid(key, 'is no sysctl below "net"', 'Only those belong to a container.');
    const value = values.string(key);
    if (value === undefined) throw values.invalid(key, 'must be a string');
    return { key, names, value };
  });
  for (const [index, { key, names }] of sysctls.entries()) {
    const same = sysctls.slice(0, index).find((other) => other.names[0] === names[0]);
    if (same !== undefined) throw duplicated(`${show(same.key)} and ${show(key)}`);
  }
  return sysctls;
};

const requireUniqueKeys = (stdin: Uint8Array): void => {
  const [duplicate] = duplicateKeys(new TextDecoder().decode(stdin), 'sysctl');
  if (duplicate !== undefined) throw duplicated(show(duplicate));
};

const duplicated = (keys: string): CniError =>
  new CniError(ErrorCode.invalidNetworkConfig, `invalid configuration: "sysctl" has a key twice: ${keys}`, {
    details: 'Which of the values is meant, nobody can tell: remove one.',
  });

/** The later source wins, as in the reference's tuning: the configuration, CNI_ARGS, `runtimeConfig`, `args.cni`. */
const requestedMac = ({ config, env }: Pick<Call, 'config' | 'env'>): string | undefined => {
  const sources: [string, string | undefined][] = [
    ['args.cni.mac', new Fields(config.cniArgs, 'args.cni').string('mac')],
    ['runtimeConfig.mac', new Fields(config.runtimeConfig, 'runtimeConfig').string('mac')],
    ['MAC in CNI_ARGS', env.args.get('MAC')],
    ['"mac"', new Fields(config.json).string('mac')],
  ];
  const chosen = sources.find(([, text]) => text !== undefined && text !== '');
  if (chosen === undefined) return undefined;
  const [source, text = ''] = chosen;
  const mac = parseMac(text);
  // The lowest bit of the first byte marks a group (IEEE 802); all zeros is nobody's.
  if (mac !== undefined && /^.[02468ace]/.test(mac) && /[^0:]/.test(mac)) return mac;
  throw new CniError(
    ErrorCode.invalidNetworkConfig,
    `invalid configuration: ${source} is no MAC address of an interface: ${show(text)}`,
    { details: 'Write it as 02:42:ac:11:00:02.' },
  );
};
