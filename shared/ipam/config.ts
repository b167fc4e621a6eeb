import { CniError, ErrorCode } from '../cni/errors.ts';
import { Fields } from '../cni/fields.ts';
import type { Environment, NetworkConfig } from '../cni/plugin.ts';
import { parseRoute } from '../cni/result-versions.ts';
import type { JsonObject, Route } from '../cni/types.ts';
import { isAtLeast } from '../cni/versions.ts';
import { readFileSync } from '../kernel/files.ts';
import { ioFailure } from '../store/io-failure.ts';
import { readClusterFacts } from './cluster-facts.ts';
import { chooseDatastore } from './connect.ts';
import type { IpamNode } from './node.ts';
import { labelsOf, parsePools } from './pool.ts';
import type { LocalPlace } from './release.ts';
import type { AddressRequest } from './request.ts';
import { parseRequested } from './requested.ts';
import { type PodWishes, parseWishes } from './wishes.ts';

/** How an address is written in the result: with the length of its pool, of its block, or as a host. */
export type Prefix = 'pool' | 'block' | 'host';

export interface ClusterIpamConfig {
  node: IpamNode;
  prefix: Prefix;
  families: (4 | 6)[] | undefined;
  routes: Route[];
  /** Path of a resolv.conf to read `dns` from. */
  resolvConf: string | undefined;
  sticky: { holdSeconds: number; key: string | undefined } | undefined;
  labels: { node: JsonObject; namespaces: JsonObject };
}

const defaultDataDir = '/var/lib/podwire/ipam';
const defaultHoldSeconds = 86_400;
const defaultGraceSeconds = 3600;
const longestSeconds = 10 * 365 * 86_400;

/** The configuration of a cluster-ipam call. Throws CniError 7, 5 when `nodeNameFile` cannot be read. */
export const parseClusterIpam = (config: NetworkConfig): ClusterIpamConfig => {
  const ipam = ipamFields(config);
  const prefix = oneOf(ipam, 'prefix', ['pool', 'block', 'host'] as const) ?? 'pool';
  const datastore = chooseDatastore(ipam);
  const place = parsePlace(config);
  return {
    node: {
      ...place,
      node: nodeName(ipam),
      datastore: datastore.identity,
      connect: datastore.connect,
      pools: datastore.takesPools ? inlinePools(ipam) : noInlinePools(ipam),
      ownSubnet: prefix === 'block',
      graceMs: (ipam.integer('reclaimAfterSeconds', 60, longestSeconds) ?? defaultGraceSeconds) * 1000,
    },
    prefix,
    families: families(ipam, config.cniVersion),
    routes: ipam.fieldsList('routes').map(parseRoute),
    resolvConf: ipam.string('resolvConf') || undefined,
    sticky: stickyKey(ipam),
    labels: {
      node: labelsOf(ipam, 'nodeLabels'),
      namespaces: Object.fromEntries(
        Object.keys(ipam.object('namespaceLabels') ?? {}).map((name) => [
          name,
          labelsOf(ipam.fields('namespaceLabels'), name),
        ]),
      ),
    },
  };
};

/**
 * Where the network's addresses are. Apart from the rest, so that DEL and GC free them also when nothing else can be
 * understood. Throws CniError 7.
 */
export const parsePlace = (config: NetworkConfig): LocalPlace => ({
  dataDir: ipamFields(config).string('dataDir') || defaultDataDir,
  network: config.name,
  now: Date.now,
});

/** What an ADD or CHECK wants. Throws CniError 4 or 7 for requests that cannot be read. */
export const requestOf = (
  { node, families: wanted, sticky, labels }: ClusterIpamConfig,
  config: NetworkConfig,
  env: Environment,
): AddressRequest => {
  const wishes = parseWishes(config);
  const namespace = env.args.get('K8S_POD_NAMESPACE') ?? '';
  const name = env.args.get('K8S_POD_NAME') ?? '';
  const requested = parseRequested(config, env);
  return {
    owner: { containerId: env.containerId, ifname: env.ifname },
    netns: env.netns,
    asker: askerOf(node, labels, namespace, wishes),
    families: wanted,
    requested: oneOfEach(requested.length > 0 ? requested : wishes.addresses),
    sticky: stickyOf(sticky, wishes, [node.network, namespace, name, env.ifname]),
    pod: name === '' ? '' : `${namespace}/${name}`,
  };
};

/** A pod of a namespace, as far as it decides about pools; an empty one is none in particular. */
export const askerFor = (
  { node, labels }: ClusterIpamConfig,
  namespace = '',
  pools?: string[],
): AddressRequest['asker'] => askerOf(node, labels, namespace, { pools });

const askerOf = (
  { node, dataDir }: IpamNode,
  labels: ClusterIpamConfig['labels'],
  namespace: string,
  { pools }: Pick<PodWishes, 'pools'>,
): AddressRequest['asker'] => {
  const facts = readClusterFacts(dataDir);
  const own = labels.namespaces[namespace] as Record<string, string> | undefined;
  return {
    node,
    nodeLabels: { ...facts.nodeLabels, ...(labels.node as Record<string, string>) },
    namespace,
    namespaceLabels: own ?? facts.namespaces[namespace],
    named: pools,
  };
};

/** A request for two addresses of one family cannot be met. */
const oneOfEach = (requested: AddressRequest['requested']): AddressRequest['requested'] => {
  if (new Set(requested.map(({ family }) => family)).size === requested.length) return requested;
  throw new CniError(
    ErrorCode.addressUnavailable,
    `${requested.length} addresses are requested, but a container gets one of each family`,
    { details: 'Request at most one IPv4 and one IPv6 address.' },
  );
};

const stickyOf = (
  configured: ClusterIpamConfig['sticky'],
  wishes: PodWishes,
  parts: readonly string[],
): AddressRequest['sticky'] => {
  const isWanted = wishes.isSticky ?? (configured !== undefined || wishes.key !== undefined);
  if (!isWanted) return undefined;
  const [, namespace, pod] = parts;
  const key = wishes.key ?? configured?.key;
  if (key === undefined && (pod === '' || namespace === '')) {
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      'invalid configuration: a sticky address needs a key, and the runtime tells no name of the pod',
      {
        details:
          'Set "ipam.sticky.key" or "args.cni.stickyKey", or pass K8S_POD_NAMESPACE and K8S_POD_NAME in CNI_ARGS.',
      },
    );
  }
  return {
    key: key ?? parts.join('/'),
    holdSeconds: wishes.holdSeconds ?? configured?.holdSeconds ?? defaultHoldSeconds,
  };
};

const ipamFields = (config: NetworkConfig): Fields => {
  const fields = new Fields(config.json);
  if (!fields.has('ipam')) throw fields.invalid('ipam', 'is missing');
  return fields.fields('ipam');
};

/** The node's name: as configured, from a file, or the host's. */
const nodeName = (ipam: Fields): string => {
  const given = ipam.string('nodeName');
  if (given) return checkedName(ipam, 'nodeName', given);
  const file = ipam.string('nodeNameFile') || '/proc/sys/kernel/hostname';
  try {
    return checkedName(ipam, 'nodeNameFile', readFileSync(file).trim().toLowerCase());
  } catch (error) {
    throw ioFailure(`read the node's name from ${file}`, error);
  }
};

const checkedName = (ipam: Fields, key: string, name: string): string => {
  if (name !== '' && name.length <= 253 && !/[\s/]/.test(name)) return name;
  throw ipam.invalid(key, `must give a node name; ${JSON.stringify(name)} is none`);
};

const inlinePools = (ipam: Fields): IpamNode['pools'] => {
  if (!ipam.has('pools')) return undefined;
  const values = ipam.fieldsList('pools').map((fields, index) => {
    const { name: _, ...value } = (ipam.array('pools') ?? [])[index] as JsonObject;
    return { name: fields.string('name') ?? `pool-${index + 1}`, value };
  });
  const twice = values.find(({ name }, index) => values.findIndex((other) => other.name === name) !== index);
  if (twice !== undefined) throw ipam.invalid('pools', `has the name "${twice.name}" twice`);
  const [refused] = parsePools(values).refused;
  if (refused !== undefined) throw refused.error;
  return values;
};

const noInlinePools = (ipam: Fields): undefined => {
  if (!ipam.has('pools')) return undefined;
  throw ipam.invalid(
    'pools',
    'can only be given with a datastore of type "file"',
    'Write the pools into the datastore.',
  );
};

const families = (ipam: Fields, cniVersion: string): (4 | 6)[] | undefined => {
  const texts = ipam.strings('ipFamilies');
  if (texts === undefined) return undefined;
  const found = texts.map((text) => {
    if (text === 'IPv4') return 4;
    if (text === 'IPv6') return 6;
    throw ipam.invalid('ipFamilies', 'must list "IPv4", "IPv6" or both');
  });
  if (found.length === 0 || new Set(found).size !== found.length) {
    throw ipam.invalid(
      'ipFamilies',
      `must list each family once${isAtLeast(cniVersion, '0.3.0') ? '' : ' at most'}`,
    );
  }
  return found;
};

const stickyKey = (ipam: Fields): ClusterIpamConfig['sticky'] => {
  const raw = ipam.raw('sticky');
  if (raw === undefined || raw === false) return undefined;
  if (raw === true) return { holdSeconds: defaultHoldSeconds, key: undefined };
  const fields = ipam.fields('sticky');
  return {
    holdSeconds: fields.integer('holdSeconds', 0, longestSeconds) ?? defaultHoldSeconds,
    key: fields.string('key') || undefined,
  };
};

const oneOf = <T extends string>(fields: Fields, key: string, values: readonly T[]): T | undefined => {
  const text = fields.string(key);
  if (text === undefined || text === '') return undefined;
  const value = values.find((candidate) => candidate === text);
  if (value === undefined)
    throw fields.invalid(key, `must be one of ${values.map((each) => `"${each}"`).join(', ')}`);
  return value;
};
