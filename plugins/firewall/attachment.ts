import { containerNetnsIfPresent } from '../../shared/attachment/container-netns.ts';
import { ownerOf } from '../../shared/attachment/owner.ts';
import type { Call } from '../../shared/cni/plugin.ts';
import { emptyResult, type Result } from '../../shared/cni/types.ts';
import { type FirewallPod, parseFirewallRemoval } from '../../shared/firewall/options.ts';
import { recordedFirewall } from '../../shared/firewall/record.ts';
import type { FirewallRemoval } from '../../shared/firewall/remove.ts';
import { readAddresses } from '../../shared/kernel/address.ts';
import { readLink } from '../../shared/kernel/link.ts';
import { type AttachmentRecord, listAttachments, readAttachment } from '../../shared/store/attachments.ts';

/** Where this plugin keeps what it did for each attachment. */
export const RECORDS = '/run/podwire/firewall';

/** The record of our own ADD. */
export const recordOf = (call: Call): AttachmentRecord | undefined => {
  const { network, containerId, ifname } = ownerOf(call);
  return readAttachment(network, containerId, ifname, RECORDS);
};

/** What the plugins before us in the chain made. */
export const podOf = (call: Call, { ips, interfaces }: Result): FirewallPod => ({
  owner: ownerOf(call),
  addresses: ips.map(({ address }) => address.slice(0, address.indexOf('/'))),
  device: interfaces[0]?.name || undefined,
});

/**
 * What DEL has to take away: what the record says; without one (the reference made it, or DEL comes again),
 * the addresses of prevResult, or else those that the container has. Of these, one that another attachment of
 * the network has by now is not touched: nothing in a rule of iptables tells whose it is.
 */
export const removalOf = (call: Call): FirewallRemoval => {
  const recorded = recordedFirewall(recordOf(call));
  if (recorded !== undefined) {
    const { pod, options } = recorded;
    const zone = options.backend === 'firewalld' ? options.zone : undefined;
    return { pod, policy: options.ingressPolicy, zone };
  }
  const pod = podOf(call, call.config.prevResult ?? emptyResult());
  const addresses = pod.addresses.length > 0 ? pod.addresses : addressesInContainer(call);
  const others = new Set(
    listAttachments(call.config.name, RECORDS).flatMap((record) =>
      record.addresses.map(({ address }) => address),
    ),
  );
  const { backend, zone } = parseFirewallRemoval(call.config.json);
  return {
    pod: { ...pod, addresses: addresses.filter((address) => !others.has(address)) },
    policy: undefined,
    zone: backend === undefined || backend === 'firewalld' ? zone : undefined,
  };
};

const addressesInContainer = ({ env }: Call): string[] => {
  const netns = containerNetnsIfPresent(env);
  if (netns === undefined) return [];
  return netns.run(() => {
    const link = readLink(env.ifname);
    return link === undefined ? [] : readAddresses(link.index).map(({ address }) => address);
  });
};
