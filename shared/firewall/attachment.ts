import { containerNetnsIfPresent } from '../attachment/container-netns.ts';
import { ownerOf } from '../attachment/owner.ts';
import { isObject } from '../cni/fields.ts';
import type { Call } from '../cni/plugin.ts';
import { emptyResult, type Result } from '../cni/types.ts';
import { readAddresses } from '../kernel/address.ts';
import { readLink } from '../kernel/link.ts';
import { readingNft } from '../kernel/nft-socket.ts';
import { listAttachments } from '../store/attachments.ts';
import { findFirewallLacks, planFirewall } from './firewall.ts';
import { type FirewallOptions, type FirewallPod, parseFirewallRemoval } from './options.ts';
import { FIREWALL_RECORDS, readFirewall, recordedFirewall } from './record.ts';
import type { FirewallRemoval } from './remove.ts';

/** What a firewall is for: what a result says of the attachment. */
export const podOf = (call: Call, { ips, interfaces }: Result): FirewallPod => ({
  owner: ownerOf(call),
  addresses: ips.map(({ address }) => address.slice(0, address.indexOf('/'))),
  device: interfaces[0]?.name || undefined,
});

/**
 * What DEL has to take away: what the record says; without one (the reference made it, or DEL comes again),
 * the addresses of prevResult, or else those that the container has. Of these, one that another attachment of
 * the network has by now is not touched: nothing in a rule of iptables tells whose it is. `keys`: the firewall's own.
 */
export const removalOf = (call: Call, keys: unknown): FirewallRemoval => {
  const recorded = recordedFirewall(readFirewall(ownerOf(call)));
  if (recorded !== undefined) {
    const { pod, options } = recorded;
    const zone = options.backend === 'firewalld' ? options.zone : undefined;
    return { pod, policy: options.ingressPolicy, zone };
  }
  const pod = podOf(call, call.config.prevResult ?? emptyResult());
  const addresses = pod.addresses.length > 0 ? pod.addresses : addressesInContainer(call);
  const others = new Set(
    listAttachments(call.config.name, FIREWALL_RECORDS).flatMap((record) =>
      record.addresses.map(({ address }) => address),
    ),
  );
  const { backend, zone } = parseFirewallRemoval(isObject(keys) ? keys : {});
  return {
    pod: { ...pod, addresses: addresses.filter((address) => !others.has(address)) },
    policy: undefined,
    zone: backend === undefined || backend === 'firewalld' ? zone : undefined,
  };
};

/** CHECK: what the kernel lacks of the firewall of an attachment whose result is `prevResult`, each for a reader. */
export const firewallLacks = (call: Call, options: FirewallOptions): string[] => {
  const backend = options.backend ?? recordedFirewall(readFirewall(ownerOf(call)))?.options.backend;
  const pod = podOf(call, call.config.prevResult ?? emptyResult());
  return readingNft((socket) =>
    findFirewallLacks(socket, planFirewall(socket, pod, { ...options, backend })),
  );
};

const addressesInContainer = ({ env }: Call): string[] => {
  const netns = containerNetnsIfPresent(env);
  if (netns === undefined) return [];
  return netns.run(() => {
    const link = readLink(env.ifname);
    return link === undefined ? [] : readAddresses(link.index).map(({ address }) => address);
  });
};
