import { describe, expect, test } from 'vitest';
import { type AgentFlags, parseAgentSettings, parseCleanupSettings } from './settings.ts';

const file = { registry: 'file', registryFile: '/n.json', node: 'n1' };
const etcd = { registry: 'etcd', etcdEndpoints: ['https://a:2379'], node: 'n1' };

test('defaults', () => {
  expect(parseAgentSettings(file, {})).toEqual({
    node: 'n1',
    vni: 1,
    confDir: '/etc/cni/net.d',
    logLevel: 'info',
    overlay: { vni: 1, port: 8472, mode: 'vxlan', underlay: undefined, mtu: undefined },
    registry: { kind: 'file', file: '/n.json' },
    nat: { enabled: true, excluded: [], backend: undefined },
    forwardRules: true,
    syncIntervalMs: 30_000,
    conflistTemplate: undefined,
    ipamConfig: undefined,
    health: { hostname: '127.0.0.1', port: 18472 },
  });
});

test('everything given', () => {
  const flags: AgentFlags = {
    ...etcd,
    etcdEndpoints: ['https://a:2379,https://b:2379', 'https://c:2379'],
    etcdCacert: '/ca',
    podCidrs: ['10.244.1.0/24, fd00:244:1::/64'],
    vni: '7',
    port: '4789',
    underlay: 'FD00::1',
    mtu: '1400',
    mode: 'cross-subnet',
    natOutgoing: false,
    natExclude: ['192.0.2.0/24,198.51.100.1', 'fd00::/8'],
    natBackend: 'iptables',
    forwardRules: false,
    etcdGrace: '60',
    syncInterval: '5',
    cniConfDir: '/run/net.d/',
    healthAddress: '[::1]:80',
    logLevel: 'debug',
  };
  expect(parseAgentSettings(flags, {})).toMatchObject({
    vni: 7,
    confDir: '/run/net.d',
    logLevel: 'debug',
    overlay: { vni: 7, port: 4789, mode: 'cross-subnet', underlay: 'fd00::1', mtu: 1400 },
    registry: {
      kind: 'etcd',
      endpoints: ['https://a:2379', 'https://b:2379', 'https://c:2379'],
      cacert: '/ca',
      graceSeconds: 60,
      podCIDRs: ['10.244.1.0/24', 'fd00:244:1::/64'],
    },
    nat: { enabled: false, excluded: ['192.0.2.0/24', '198.51.100.1', 'fd00::/8'], backend: 'iptables' },
    forwardRules: false,
    syncIntervalMs: 5000,
    health: { hostname: '::1', port: 80 },
  });
  expect(parseAgentSettings({ ...file, healthAddress: 'off' }, {}).health).toBeUndefined();
});

test('the name: by flag, else by the environment, else the host has one', () => {
  const { node: _node, ...others } = file;
  expect(parseAgentSettings(file, { NODE_NAME: 'other' }).node).toBe('n1');
  expect(parseAgentSettings(others, { NODE_NAME: 'other' }).node).toBe('other');
  expect(parseAgentSettings(others, { NODE_NAME: '' }).node).toMatch(/^[a-z0-9._-]+$/);
});

describe('what is wrong is told with its flag', () => {
  test.for<[AgentFlags, string]>([
    [{}, '--registry is missing'],
    [{ registry: 'consul' }, '--registry must be file, kubernetes or etcd, got "consul"'],
    [{ registry: 'file' }, '--registry file needs --registry-file'],
    [{ registry: 'file', registryFile: 'n.json' }, '--registry-file must be an absolute path, got "n.json"'],
    [{ ...file, kubeconfig: '/k' }, '--kubeconfig makes no sense with --registry file'],
    [{ ...file, podCidrs: ['10.0.0.0/24'] }, '--pod-cidrs makes no sense with --registry file'],
    [{ ...file, etcdGrace: '60' }, '--etcd-grace makes no sense with --registry file'],
    [{ ...etcd, etcdGrace: '0' }, '--etcd-grace must be a whole number from 1 to 31536000, got "0"'],
    [{ registry: 'etcd' }, '--registry etcd needs --etcd-endpoints'],
    [etcd, '--registry etcd needs --pod-cidrs or --cluster-cidrs'],
    [
      { ...etcd, podCidrs: ['10.0.0.0/24'], clusterCidrs: ['10.0.0.0/8'] },
      '--pod-cidrs and --cluster-cidrs exclude each other',
    ],
    [
      { ...etcd, podCidrs: ['10.0.0.1'] },
      '--pod-cidrs must be prefixes such as 10.244.1.0/24, got "10.0.0.1"',
    ],
    [
      { ...etcd, clusterCidrs: ['10.0.0.1/24'] },
      '--cluster-cidrs must be network addresses such as 10.0.0.0/24, got "10.0.0.1/24"',
    ],
    [{ ...file, node: 'a b' }, '--node must be 1 to 253 letters, digits, ".", "_" and "-", got "a b"'],
    [{ ...file, vni: '0' }, '--vni must be a whole number from 1 to 16777215, got "0"'],
    [{ ...file, vni: '1e3' }, '--vni must be a whole number from 1 to 16777215, got "1e3"'],
    [{ ...file, port: '65536' }, '--port must be a whole number from 1 to 65535, got "65536"'],
    [{ ...file, mtu: '100' }, '--mtu must be a whole number from 576 to 65535, got "100"'],
    [{ ...file, mode: 'ipip' }, '--mode must be vxlan, direct or cross-subnet, got "ipip"'],
    [
      { ...file, underlay: 'no such/device' },
      '--underlay must be the name of a network device or an address of one, got "no such/device"',
    ],
    [
      { ...file, natExclude: ['10.0.0.0/40'] },
      '--nat-exclude must be prefixes such as 192.0.2.0/24, or addresses, got "10.0.0.0/40"',
    ],
    [{ ...file, natBackend: 'ipvs' }, '--nat-backend must be nftables or iptables, got "ipvs"'],
    [{ ...file, syncInterval: '0' }, '--sync-interval must be a whole number from 1 to 86400, got "0"'],
    [{ ...file, cniConfDir: 'net.d' }, '--cni-conf-dir must be an absolute path, got "net.d"'],
    [{ ...file, healthAddress: 'localhost:1' }, '--health-address must be an address and a port'],
    [{ ...file, healthAddress: '127.0.0.1:70000' }, '--health-address must be an address and a port'],
    [{ ...file, logLevel: 'loud' }, '--log-level must be trace, debug, info, warn, error, fatal or silent'],
  ])('%j', ([flags, message]) => {
    expect(() => parseAgentSettings(flags, {})).toThrow(
      expect.objectContaining({ code: 7, message: expect.stringContaining(message) }),
    );
  });
});

test('cleaning up needs no registry', () => {
  expect(parseCleanupSettings({ vni: '3', node: 'n1' }, {})).toEqual({
    node: 'n1',
    vni: 3,
    confDir: '/etc/cni/net.d',
    logLevel: 'info',
    registry: undefined,
  });
});

test('who cleans up need not tell of the pods', () => {
  expect(parseCleanupSettings(etcd, {}).registry).toMatchObject({ kind: 'etcd', podCIDRs: [] });
});
