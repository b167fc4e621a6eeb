import type { PrintedResult } from '../../support/call-plugin.ts';
import { before } from './case.ts';
import type { ContainerParts } from './container.ts';
import { resultIn } from './printed-result.ts';

/** The host's end of the pair that `earlierInterface` makes for the n-th container. */
export const earlierHostName = (index: number): string => `veth5eed${index.toString(16).padStart(4, '0')}`;

/**
 * What a network plugin would have made before a chained one is called, made by `ip` alone so that no other
 * plugin's defects show: a veth pair with a routed address. Returns the result in the trial's version.
 */
export const earlierInterface = async (parts: ContainerParts): Promise<PrintedResult> => {
  const { trial, pod, ifname, index } = parts;
  const host = earlierHostName(index);
  const address = `10.30.${index >> 8}.${(index & 255) + 1}`;
  await trial.host.shell(`
    ip link add ${host} type veth peer name ${ifname} netns ${pod.netns}
    ip link set ${host} up
    ip addr add 169.254.1.1/32 dev ${host}
    ip route add ${address}/32 dev ${host}
    echo 1 >/proc/sys/net/ipv4/ip_forward
  `);
  await pod.shell(`
    ip link set ${ifname} up
    ip addr add ${address}/32 dev ${ifname}
    ip route append 169.254.1.1 dev ${ifname}
    ip route append default via 169.254.1.1 dev ${ifname}
  `);
  const macOf = (text: string): string => (JSON.parse(text) as [{ address: string }])[0].address;
  const hostMac = macOf(await trial.host.exec(['ip', '-j', 'link', 'show', 'dev', host]));
  const podMac = macOf(await pod.exec(['ip', '-j', 'link', 'show', 'dev', ifname]));
  const interfaces = [
    { name: host, mac: hostMac },
    { name: ifname, mac: podMac, sandbox: pod.netns },
  ];
  const plain = { interfaces, address: `${address}/32`, gateway: '169.254.1.1', interface: 1 };
  const result = resultIn(trial.version, plain);
  return parts.ipv6 ? withIpv6(parts, result) : result;
};

/** Adds an IPv6 address to what is there. */
const withIpv6 = async (parts: ContainerParts, result: PrintedResult): Promise<PrintedResult> => {
  const { trial, pod, ifname, index } = parts;
  const host = earlierHostName(index);
  const address = `fd30::${index.toString(16)}/128`;
  const gateway = 'fe80::1';
  await trial.host.shell(`
    ip addr add ${gateway}/64 dev ${host} nodad
    ip route add ${address} dev ${host}
    echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
  `);
  await pod.shell(`
    ip addr add ${address} dev ${ifname} nodad
    ip route append default via ${gateway} dev ${ifname}
  `);
  const routes = [{ dst: '::/0' }];
  if (result.ips === undefined) return { ...result, ip6: { ip: address, gateway, routes } };
  const family = before('1.0.0')(trial.version) ? { version: '6' as const } : {};
  return {
    ...result,
    ips: [...result.ips, { ...family, address, gateway, interface: 1 }],
    routes: [...(result.routes ?? []), ...routes],
  };
};
