import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Topology } from '../../cli/topology/model.ts';
import { vtepMac } from '../../shared/overlay/vtep.ts';
import { expectPlugins, podwireBin } from '../support/binaries.ts';
import { requireKernel } from '../support/needs.ts';
import { expectSuccess, systemPath } from '../support/process.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { podwire, readHostFile, writeFile, writeNetwork } from './cli-host.ts';

// `podwire topology` on a host with a bridge network, and with what a sync of an overlay would leave.
let host: TestHost;
beforeEach(async () => {
  expectPlugins(podwireBin, 'podwire', 'bridge', 'host-local');
  host = await createHost({ name: 'topology' });
});
afterEach(() => host?.dispose());

const ranges = [[{ subnet: '10.7.0.0/24' }], [{ subnet: 'fd07::/64' }]];
const pods = {
  cniVersion: '1.1.0',
  name: 'pods',
  plugins: [
    { type: 'bridge', bridge: 'br7', isGateway: true, ipMasq: true, ipam: { type: 'host-local', ranges } },
  ],
};

const addPod = async (name: string): Promise<void> => {
  writeNetwork(host, pods);
  await host.addPod(name);
  expectSuccess(
    await podwire(host, ['run', 'add', 'pods', name, '--container-id', name], { binDirs: [podwireBin] }),
  );
};

const topology = async (...args: string[]): Promise<string> =>
  expectSuccess(await podwire(host, ['topology', ...args]));

/** What an agent leaves, with the kernel's part of it unless that is to be missing. */
const leaveOverlay = async (): Promise<void> => {
  const peer = {
    name: 'n2',
    address: '198.51.100.2',
    podCIDRs: ['10.244.2.0/24', 'fd00:244:2::/64'],
    via: 'vxlan',
  };
  writeFile(host, '/run/podwire/overlay/1/peers.json', [peer]);
  writeFile(host, '/run/podwire/overlay/1/node.json', {
    version: 1,
    node: 'n1',
    vni: 1,
    port: 8472,
    mode: 'vxlan',
    device: 'pwvxlan1',
    mac: vtepMac('n1'),
    mtu: 1450,
    underlay: { device: 'up0', address: '198.51.100.1', mtu: 1500 },
    podCIDRs: ['10.244.1.0/24', 'fd00:244:1::/64'],
    addresses: ['10.244.1.0/32', 'fd00:244:1::/128'],
  });
  await host.shell(`
ip link add up0 type veth peer name up1; ip link set up1 up; ip addr add 198.51.100.1/24 dev up0; ip link set up0 up
ip link add pwvxlan1 address ${vtepMac('n1')} mtu 1450 type vxlan id 1 dstport 8472 local 198.51.100.1 nolearning
ip link set pwvxlan1 addrgenmode none; ip addr add 10.244.1.0/32 dev pwvxlan1; ip addr add fd00:244:1::/128 dev pwvxlan1 nodad; ip link set pwvxlan1 up
ip route add 10.244.2.0/24 via 10.244.2.0 dev pwvxlan1 onlink proto 112
ip route add fd00:244:2::/64 via fe80::2 dev pwvxlan1 proto 112
for address in 10.244.2.0 fe80::2; do ip neigh add $address lladdr ${vtepMac('n2')} dev pwvxlan1 nud permanent; done
bridge fdb add ${vtepMac('n2')} dev pwvxlan1 dst 198.51.100.2 self permanent`);
};

test('nothing there', async () => {
  expect(await topology()).toMatch(/^\S+\n└─ no pods and no overlay\n$/);
  expect(await topology('--svg')).toContain('>1 node · 0 pods<');
});

test('pods on a bridge; one whose interface is gone', async () => {
  await addPod('red');
  await addPod('green');
  expect(await topology()).toMatch(
    /\n└─ pods\s+bridge, 2 pods\n {3}├─ green +10\.7\.0\.3 +fd07::3 +eth0 ↔ \S+\n {3}└─ red +10\.7\.0\.2 +fd07::2 +eth0 ↔ \S+\n$/,
  );
  const podsNow = async () => (JSON.parse(await topology('--json')) as Topology).nodes[0]?.pods ?? [];
  const red = (await podsNow()).find(({ containerId }) => containerId === 'red')?.hostInterface ?? '';
  await host.exec(['ip', 'link', 'del', red]);
  expect((await podsNow()).map(({ containerId, problems }) => [containerId, problems])).toEqual([
    ['green', []],
    ['red', [`its host interface ${red} is gone`]],
  ]);
});

describe('an overlay', () => {
  beforeEach(async (context) => {
    requireKernel(context, 'vxlan', 'ipv6');
    await leaveOverlay();
  });

  test('in order', async () => {
    const text = await topology();
    expect(text).toMatch(/^n1 {2}198\.51\.100\.1 {2}on up0, MTU 1500\n/);
    expect(text).toContain('└─ n2  vxlan  198.51.100.2  10.244.2.0/24  fd00:244:2::/64\n');
    expect(text).not.toContain('✗');
  });

  test.for([
    ['ip link del pwvxlan1', 'pwvxlan1: the device pwvxlan1 is missing'],
    ['ip link set pwvxlan1 down', 'pwvxlan1: it is down'],
    [
      'ip link set pwvxlan1 address 02:00:00:00:00:09',
      `pwvxlan1: its MAC is 02:00:00:00:00:09 instead of ${vtepMac('n1')}`,
    ],
    ['ip addr del 10.244.1.0/32 dev pwvxlan1', 'pwvxlan1: it has no address 10.244.1.0/32'],
    ['ip -6 route del fd00:244:2::/64', 'no route to fd00:244:2::/64 by pwvxlan1'],
    [
      'ip neigh flush dev pwvxlan1 nud permanent',
      `no neighbour entry that leads 10.244.2.0 to ${vtepMac('n2')}`,
    ],
    ['bridge fdb flush dev pwvxlan1', `no FDB entry that leads ${vtepMac('n2')} to 198.51.100.2`],
  ] as const)('after "%s"', async ([command, problem]) => {
    await host.shell(command);
    expect(await topology()).toContain(`✗ ${problem}\n`);
    expect(await topology('--svg', '-')).toContain('stroke-dasharray="6 4"');
  });

  test('is drawn into a file, alone and as one of several', async () => {
    writeFile(host, '/run/n1.json', await topology('--json'));
    const other = JSON.parse(readHostFile(host, '/run/n1.json').replaceAll('n1', 'n9')) as Topology;
    writeFile(host, '/run/n9.json', other);
    expect(await topology('--svg', '/run/alone.svg')).toBe('');
    expect(readHostFile(host, '/run/alone.svg')).toContain('>2 nodes · 0 pods<');
    await topology('--from', '/run/n1.json', '/run/n9.json', '--svg', '/run/both.svg');
    expect(readHostFile(host, '/run/both.svg')).toContain('>3 nodes · 0 pods<');
    const twice = await podwire(host, ['topology', '--from', '/run/n1.json', '/run/n1.json']);
    expect(twice).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('two of the files are of node n1'),
    });
  });
});

test.for<[string[], number, string]>([
  [['--from', '/run/none.json'], 1, 'cannot read /run/none.json'],
  [['--from', '/run/bad.json'], 1, '/run/bad.json is no topology: it is not an object'],
  [['--svg', '/run/none/x.svg'], 1, 'cannot write /run/none/x.svg'],
  [['--from'], 2, 'argument missing'],
  [['extra'], 2, 'too many arguments'],
])('%j fails', async ([args, exitCode, message]) => {
  writeFile(host, '/run/bad.json', '[]');
  const outcome = await podwire(host, ['topology', ...args]);
  expect(outcome).toMatchObject({ exitCode, stdout: '', stderr: expect.stringContaining(message) });
});

test('as wide as COLUMNS says, and in colour only on a terminal', async () => {
  await addPod('red');
  const narrow = await podwire(host, ['topology'], { env: { COLUMNS: '40' } });
  expect(Math.max(...narrow.stdout.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(40);
  expect(narrow.stdout).not.toContain('\u001b');
  const inTerminal = (env: Record<string, string>): Promise<string> =>
    host.exec(['script', '-qec', `stty cols 44; ${podwireBin}/podwire topology`, '/dev/null'], {
      env: { PATH: systemPath, TERM: 'xterm', ...env },
    });
  const coloured = await inTerminal({});
  expect(coloured).toContain('\u001b[1m');
  const plain = await inTerminal({ NO_COLOR: '1' });
  expect(plain).not.toContain('\u001b');
  expect(Math.max(...plain.split('\r\n').map(({ length }) => length))).toBeLessThanOrEqual(44);
});
