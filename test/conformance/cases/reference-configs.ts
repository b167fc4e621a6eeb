import { before, type Case, from } from '../suite/case.ts';

/** A configuration that any implementation has to understand as the reference plugins do. */
export interface ComparedConfig {
  /** The end of the case's id. */
  name: string;
  /** The plugin to call. */
  type: string;
  config: { type: string; [key: string]: unknown };
  /** CNI_ARGS */
  args?: string;
  /** Those in which the reference can do it; all unless given. */
  versions?: Exclude<Case['versions'], 'newest'>;
}

/** The only MAC in the configurations; all others are random. */
export const requestedMac = 'c2:b0:57:49:47:f1';

const v4 = [{ subnet: '10.17.0.0/24' }];
const v6 = [{ subnet: 'fd17::/64' }];
const hostLocal = (...ranges: object[]) => ({ type: 'host-local', ranges });
const fixed = (addresses: object[], rest: object = {}) => ({ type: 'static', addresses, ...rest });
const ipamDns = { nameservers: ['10.17.0.53'], domain: 'ipam.test', search: ['a.test', 'b.test'] };
const bothRoutes = {
  routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }, { dst: '192.0.2.0/24', gw: '10.17.0.9' }],
};

const bridge = (name: string, keys: object, rest: Partial<ComparedConfig> = {}): ComparedConfig => ({
  name,
  type: 'bridge',
  config: { type: 'bridge', ...keys },
  ...rest,
});

const ptp = (name: string, keys: object, rest: Partial<ComparedConfig> = {}): ComparedConfig => ({
  name,
  type: 'ptp',
  config: { type: 'ptp', ...keys },
  ...rest,
});

/** For an IPAM plugin: called as a bridge would. */
const ipamOnly = (
  name: string,
  ipam: { type: string; [key: string]: unknown },
  rest: Partial<ComparedConfig> = {},
  keys: object = {},
): ComparedConfig => ({ name, type: ipam.type, config: { type: 'bridge', ipam, ...keys }, ...rest });

/** Without addresses, or with several of a family, there is no result before 0.3.0. */
const listed = { versions: from('0.3.0') };

/** One of each shape of a result; for what takes the reference long. */
const eachShape = { versions: (version: string) => ['0.2.0', '0.4.0', '1.0.0'].includes(version) };

/** The configurations to compare results of. */
export const comparedConfigs: readonly ComparedConfig[] = [
  bridge('default-gateway', { isDefaultGateway: true, ipam: hostLocal(v4) }),
  bridge('two-families', { isGateway: true, ipam: { ...hostLocal(v4, v6), ...bothRoutes } }, eachShape),
  bridge('layer2', { isGateway: true, dns: ipamDns }, listed),
  bridge('without-gateway', { ipam: fixed([{ address: '10.17.0.5/24' }]) }),
  bridge(
    'masquerade',
    { isGateway: true, ipMasq: true, ipam: { ...hostLocal(v4, v6), ...bothRoutes } },
    eachShape,
  ),
  bridge(
    'several-of-a-family',
    { isDefaultGateway: true, ipam: hostLocal(v6, [{ subnet: 'fd18::/64' }], v4) },
    listed,
  ),
  bridge(
    'mtu-and-mac',
    { isGateway: true, mtu: 1400, ipam: hostLocal(v4) },
    { args: `IgnoreUnknown=1;MAC=${requestedMac}` },
  ),
  bridge('last-gateway', {
    isDefaultGateway: true,
    ipam: hostLocal([{ subnet: '10.17.0.0/24', gateway: '10.17.0.254' }]),
  }),
  bridge('default-route-of-ipam', {
    isDefaultGateway: true,
    ipam: { ...hostLocal(v4), routes: [{ dst: '0.0.0.0/0', gw: '10.17.0.77' }] },
  }),
  bridge('dns', {
    dns: { nameservers: ['192.0.2.1'] },
    ipam: fixed([{ address: '10.17.0.5/24' }], { dns: ipamDns }),
  }),
  bridge('empty-dns', { dns: { search: [] }, ipam: fixed([{ address: '10.17.0.5/24' }], { dns: ipamDns }) }),
  bridge('legacy-range', {
    isGateway: true,
    ipam: { type: 'host-local', subnet: '10.17.0.0/24', rangeStart: '10.17.0.20', gateway: '10.17.0.3' },
  }),
  ptp('two-families', { ipam: { ...hostLocal(v4, v6), ...bothRoutes } }, eachShape),
  ptp('masquerade', { ipMasq: true, ipam: { ...hostLocal(v4), routes: [{ dst: '0.0.0.0/0' }] } }),
  ptp('ipv6-only', { ipam: { ...hostLocal(v6), routes: [{ dst: '::/0' }] } }, eachShape),
  ptp('static', {
    mtu: 1300,
    ipam: fixed([{ address: '10.17.0.5/24', gateway: '10.17.0.1' }], { dns: ipamDns }),
  }),
  ptp('another-gateway', { ipam: { ...hostLocal(v4), routes: [{ dst: '192.0.2.0/24', gw: '10.17.0.9' }] } }),
  ipamOnly('ipv4', { ...hostLocal(v4), routes: [{ dst: '0.0.0.0/0' }] }),
  ipamOnly('two-families', { ...hostLocal(v4, v6), ...bothRoutes }),
  ipamOnly('several-of-a-family', hostLocal(v6, [{ subnet: 'fd18::/64' }], v4), listed),
  ipamOnly('legacy-range', { type: 'host-local', subnet: '10.17.0.0/24', rangeStart: '10.17.0.20' }),
  ipamOnly('requested', hostLocal(v4, v6), { args: 'IgnoreUnknown=1;IP=10.17.0.99' }),
  ipamOnly('capabilities', hostLocal(v4), listed, {
    runtimeConfig: { ipRanges: [[{ subnet: '10.40.0.0/16' }]], ips: ['10.40.0.9/16'] },
  }),
  ipamOnly(
    'two-families',
    fixed([{ address: '10.17.0.5/24', gateway: '10.17.0.1' }, { address: 'fd17::5/64' }], {
      ...bothRoutes,
      dns: ipamDns,
    }),
  ),
  ipamOnly('nothing', fixed([]), listed),
  ipamOnly(
    'several-of-a-family',
    fixed(['fd17::5/64', '10.17.0.5/24', '10.17.0.6/32'].map((address) => ({ address }))),
    listed,
  ),
  ipamOnly('requested', fixed([]), {
    args: 'IgnoreUnknown=1;IP=10.17.0.7/24,fd17::7/64;GATEWAY=10.17.0.1,fd17::1',
  }),
  // In older versions the reference prints results of 1.0.0.
  {
    name: 'plain',
    type: 'loopback',
    config: { type: 'loopback' },
    versions: (version) => !before('1.0.0')(version),
  },
  {
    name: 'earlier-result',
    type: 'loopback',
    config: {
      type: 'loopback',
      prevResult: {
        cniVersion: '0.4.0',
        interfaces: [{ name: 'eth0', mac: requestedMac }],
        ips: [{ version: '4', address: '10.17.0.5/24', gateway: '10.17.0.1', interface: 0 }],
        routes: [{ dst: '0.0.0.0/0' }],
        dns: ipamDns,
      },
    },
    versions: (version) => version === '0.4.0',
  },
];
