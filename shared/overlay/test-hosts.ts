import { runCommand } from '../kernel/command.ts';
import type { Netns } from '../kernel/netns.ts';
import { writeSysctl } from '../kernel/sysctl.ts';
import { createNetns, ip } from '../kernel/test-netns.ts';
import { type Applied, applyOverlay } from './apply.ts';
import { planOverlay } from './plan.ts';
import { enableOverlayForwarding } from './sysctls.ts';
import { type OverlayNode, type OverlaySettings, overlayDefaults } from './types.ts';
import { detectUnderlay } from './underlay.ts';

/** A network namespace that stands for a host, with one pod. */
export interface TestHost {
  node: OverlayNode;
  host: Netns;
  pod: Netns;
  /** The pod's own, IPv4 first. */
  podAddresses: string[];
}

export const testSettings: OverlaySettings = { ...overlayDefaults, underlay: undefined, mtu: undefined };

/**
 * Hosts on one wire, each with a routed pod: host n has the addresses 198.51.100.n and 2001:db8::n, the pod
 * prefixes 10.244.n.0/24 and fd00:244:n::/64, and a pod with address 5 of each. Nothing leads from one to the
 * pods of another.
 */
export const createHosts = async (count: number): Promise<TestHost[] & { close: () => void }> => {
  const wire = await createNetns();
  ip(wire, 'link add br0 up type bridge');
  const hosts: TestHost[] = [];
  for (let n = 1; n <= count; n += 1) {
    const [host, pod] = [await createNetns(), await createNetns()];
    ip(wire, `link add port${n} master br0 up type veth peer name eth0 netns ${host.reference}`);
    // Link-local addresses are usable at once: a host asks for its neighbours' MACs with them.
    host.run(() => writeSysctl('net/ipv6/conf/default/accept_dad', '0'));
    host.run(() => writeSysctl('net/ipv6/conf/eth0/accept_dad', '0'));
    ip(
      host,
      'link set eth0 up',
      `address add 198.51.100.${n}/24 dev eth0`,
      `address add 2001:db8::${n}/64 dev eth0 nodad`,
      `link add pod up type veth peer name eth0 netns ${pod.reference}`,
      'address add 169.254.1.1/32 dev pod',
      'address add fe80::1/64 dev pod nodad',
      `route add 10.244.${n}.5/32 dev pod`,
      `route add fd00:244:${n}::5/128 dev pod`,
    );
    ip(
      pod,
      'link set eth0 mtu 1450',
      'link set eth0 up',
      `address add 10.244.${n}.5/32 dev eth0`,
      `address add fd00:244:${n}::5/128 dev eth0 nodad`,
      'route add 169.254.1.1/32 dev eth0',
      'route add default via 169.254.1.1 dev eth0',
      'route add default via fe80::1 dev eth0',
    );
    const node = {
      name: `node-${n}`,
      addresses: [`198.51.100.${n}`, `2001:db8::${n}`],
      podCIDRs: [`10.244.${n}.0/24`, `fd00:244:${n}::/64`],
    };
    hosts.push({ node, host, pod, podAddresses: [`10.244.${n}.5`, `fd00:244:${n}::5`] });
  }
  const close = () => {
    for (const netns of [wire, ...hosts.flatMap(({ host, pod }) => [host, pod])]) netns.close();
  };
  return Object.assign(hosts, { close });
};

/** What the sync of a host does in the kernel. */
export const sync = (
  { node, host }: TestHost,
  nodes: readonly OverlayNode[],
  settings: Partial<OverlaySettings> = {},
): Applied =>
  host.run(() => {
    const all = { ...testSettings, ...settings };
    const underlay = detectUnderlay(node, all);
    enableOverlayForwarding([4, 6], underlay.device);
    return applyOverlay(planOverlay(node, nodes, all, underlay), underlay);
  });

/** What a sync could not do, or found wrong with a VTEP that it had not made; none when all went well. */
export const troubles = ({ refused, messages }: Applied): string[] => [
  ...refused.values(),
  ...messages.filter((text) => / failed: /.test(text)),
];

/** What a command prints in a namespace; with what it says on stderr when it fails. */
export const output = (netns: Netns, ...words: string[]): string => {
  const [tool = '', ...args] = words;
  const { stdout, stderr, exitCode } = netns.run(() => runCommand(tool, args));
  return exitCode === 0 ? stdout : `${stdout}${stderr}`;
};

/** Whether a namespace gets an answer from an address within 2 s; `size` bytes of IP packet, unfragmented. */
export const reaches = (from: Netns, address: string, size?: number): boolean => {
  const ipv6 = address.includes(':');
  const payload = size === undefined ? [] : ['-M', 'do', '-s', String(size - (ipv6 ? 48 : 28))];
  const args = ['-n', '-c', '1', '-W', '2', ...payload, address];
  const answers = (): boolean => from.run(() => runCommand('ping', args)).exitCode === 0;
  // The kernel delivers to a new IPv6 address only some time after it was added.
  return answers() || answers();
};
