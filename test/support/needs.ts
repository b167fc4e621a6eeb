import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { TestContext } from 'vitest';
import { findProgram, programPath, systemPath } from './process.ts';

/** Skips the test, with the reason, unless we are root outside any user namespace. */
export const requireRoot = (context: TestContext): void => skipFor(context, lackingRoot());

/** Skips the test, with the reason, unless all these programs are installed. */
export const requireTool = (context: TestContext, ...tools: string[]): void =>
  skipFor(context, lackingTools(...tools));

/** Skips the test, with the reason, unless the kernel has all these features. */
export const requireKernel = (context: TestContext, ...features: KernelFeature[]): void =>
  skipFor(context, lackingKernel(...features));

/** Skips the test with this reason; does nothing when there is none. */
export const skipFor = (context: TestContext, reason: string | undefined): void => {
  if (reason !== undefined) context.skip(reason);
};

/** Why this is not real root, or undefined when it is. */
export const lackingRoot = (): string | undefined => {
  if (process.getuid?.() !== 0) return 'needs root';
  const identity = /^\s*0\s+0\s+4294967295\s*$/.test(readFileSync('/proc/self/uid_map', 'utf8'));
  return identity ? undefined : 'needs root outside a user namespace';
};

/** Which of the programs are not installed, as a sentence; undefined when all are. */
export const lackingTools = (...tools: string[]): string | undefined => {
  const missing = tools.filter((tool) => findProgram(tool) === undefined);
  return missing.length === 0 ? undefined : `not installed: ${missing.join(', ')}`;
};

export type KernelFeature = keyof typeof probes;

/** Which of the features the kernel refuses, with its message; undefined when it has all. */
export const lackingKernel = (...features: KernelFeature[]): string | undefined => {
  const missing = features.map(probe).filter((message) => message !== undefined);
  return missing.length === 0 ? undefined : missing.join('; ');
};

// Each runs in a network namespace of its own and leaves nothing.
const probes = {
  'bridge vlan filtering': 'ip link add probe type bridge vlan_filtering 1',
  'bridge port isolation':
    'ip link add probe type bridge; ip link add v0 master probe type veth peer name v1; bridge link set dev v0 isolated on',
  vxlan: 'ip link add probe type vxlan id 1 dstport 8472',
  dummy: 'ip link add probe type dummy',
  vlan: 'ip link add v0 type veth peer name v1; ip link add link v0 name probe type vlan id 5',
  ifb: 'ip link add probe type ifb',
  netem: 'tc qdisc add dev lo root netem delay 1ms',
  nftables: 'nft add table inet probe',
  'nftables bridge family':
    "nft -f - <<'E'\nadd table bridge p\nadd chain bridge p c { type filter hook forward priority 0; }\nE",
  'iptables (nft)': 'iptables-nft -w -t nat -A POSTROUTING -j MASQUERADE',
  'iptables (legacy)': 'iptables-legacy -w -t nat -A POSTROUTING -j MASQUERADE',
  ipv6: 'ip link set lo up; ip -6 addr add fd00::1/128 dev lo',
} as const;

const probed = new Map<KernelFeature, string | undefined>();

const probe = (feature: KernelFeature): string | undefined => {
  if (!probed.has(feature)) {
    const { status, stderr } = spawnSync(
      programPath('unshare'),
      [
        '--net',
        '--mount',
        '--propagation',
        'private',
        '/bin/sh',
        '-ec',
        `mount -t tmpfs tmpfs /run; ${probes[feature]}`,
      ],
      { encoding: 'utf8', env: { PATH: systemPath, LC_ALL: 'C' }, timeout: 10_000 },
    );
    const message = stderr.trim().split('\n').at(-1);
    probed.set(feature, status === 0 ? undefined : `the kernel has no ${feature} (${message})`);
  }
  return probed.get(feature);
};
