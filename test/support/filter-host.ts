import { fileURLToPath } from 'node:url';
import type { MasqueradeAddress } from '../../shared/filter/pod-address.ts';
import type { FilterRequest } from './filter-driver.ts';
import { lackingKernel, lackingRoot, lackingTools } from './needs.ts';
import type { Pod } from './pod.ts';
import { createHost, type TestHost } from './test-host.ts';
import { startServer, whoSees } from './traffic.ts';

/** Why the kernel tests of the packet filter cannot run here, undefined when they can. */
export const lackingForFilter = (...features: Parameters<typeof lackingKernel>): string | undefined =>
  lackingRoot() ??
  lackingTools('nft', 'iptables-restore', 'busybox', 'ss', 'ping') ??
  lackingKernel('ipv6', 'nftables', ...features);

/** A pod of the test network. */
export interface TestPod {
  pod: Pod;
  addresses: [MasqueradeAddress, MasqueradeAddress];
  /** The host's end of its veth pair, and the MAC of its own. */
  spoof: { port: string; mac: string };
}

/** What the driver answers. */
export interface FilterAnswer {
  value?: unknown;
  error?: { code: number; message: string; details?: string };
}

/**
 * A host with a bridge for 10.1.0.0/16 and fd00:1::/64, and a namespace `outside` that knows the way
 * back, so that a masqueraded client gets an answer there, and one that is not gets one too.
 */
export class FilterHost {
  readonly host: TestHost;

  constructor(host: TestHost) {
    this.host = host;
  }

  /** Adds a pod with the addresses 10.1.0.`number` and fd00:1::`number`. */
  async addPod(number: number): Promise<TestPod> {
    const name = `pod${number}`;
    const port = `veth${number}`;
    const mac = `02:00:00:00:00:0${number}`;
    const pod = await this.host.addPod(name);
    await this.host.shell(`
      ip link add ${port} type veth peer name eth0 address ${mac} netns ${name}
      ip link set ${port} master br0 up
      ip -n ${name} link set lo up; ip -n ${name} link set eth0 up
      ip -n ${name} addr add 10.1.0.${number}/16 dev eth0
      ip -n ${name} addr add fd00:1::${number}/64 dev eth0 nodad
      ip -n ${name} route add default via 10.1.0.1; ip -n ${name} route add default via fd00:1::1`);
    await startServer(pod, PORT);
    return {
      pod,
      addresses: [
        { address: `10.1.0.${number}`, subnet: '10.1.0.0/16' },
        { address: `fd00:1::${number}`, subnet: 'fd00:1::/64' },
      ],
      spoof: { port, mac },
    };
  }

  /** Runs one verb in the host, in a process of its own, as a plugin call does. */
  async call(request: FilterRequest): Promise<FilterAnswer> {
    return JSON.parse(await this.host.exec([BUN, DRIVER, JSON.stringify(request)])) as FilterAnswer;
  }

  /** As `call`, but an error is thrown. */
  async perform(request: FilterRequest): Promise<unknown> {
    const { value, error } = await this.call(request);
    if (error !== undefined) throw new Error(`${error.code}: ${error.message} (${error.details})`);
    return value;
  }

  /** The addresses under which `outside` sees a pod, IPv4 then IPv6. */
  seenOutside({ pod }: TestPod): Promise<(string | undefined)[]> {
    return Promise.all([whoSees(pod, '192.0.2.2', PORT), whoSees(pod, '2001:db8::2', PORT)]);
  }

  /** The addresses under which another pod sees a pod. */
  seenInside({ pod }: TestPod, other: TestPod): Promise<(string | undefined)[]> {
    return Promise.all(other.addresses.map(({ address }) => whoSees(pod, address, PORT)));
  }
}

/** What `seenOutside` gives for a pod that is masqueraded. */
export const MASQUERADED = ['192.0.2.1', '2001:db8::1'];

/** What `seenOutside` gives for a pod that is not, and `seenInside` for any. */
export const itself = ({ addresses }: TestPod): string[] => addresses.map(({ address }) => address);

export const createFilterHost = async (): Promise<FilterHost> => {
  const host = await createHost({ name: 'filt' });
  await host.shell(`
    ip link add br0 type bridge; ip link set br0 up
    ip addr add 10.1.0.1/16 dev br0; ip addr add fd00:1::1/64 dev br0 nodad
    echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding`);
  const outside = await host.addPod('outside');
  await host.shell(`
    ip link add out0 type veth peer name eth0 netns outside
    ip addr add 192.0.2.1/24 dev out0; ip addr add 2001:db8::1/64 dev out0 nodad; ip link set out0 up
    ip -n outside link set lo up; ip -n outside link set eth0 up
    ip -n outside addr add 192.0.2.2/24 dev eth0; ip -n outside addr add 2001:db8::2/64 dev eth0 nodad
    ip -n outside route add 10.1.0.0/16 via 192.0.2.1
    ip -n outside route add fd00:1::/64 via 2001:db8::1`);
  await startServer(outside, PORT);
  return new FilterHost(host);
};

const PORT = 8080;
const BUN = fileURLToPath(new URL('../../node_modules/.bin/bun', import.meta.url));
const DRIVER = fileURLToPath(new URL('./filter-driver.ts', import.meta.url));
