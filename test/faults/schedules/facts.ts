import { chainName } from '../../../shared/filter/masquerade-iptables.ts';
import { ownerComment } from '../../../shared/filter/owner.ts';
import type { Attachment, Model } from './model.ts';

/**
 * Single facts about a host as lines of text, each with whose it is: `network container ifname`, or
 * `network container` for what a container's interfaces share, or empty when nothing tells.
 */
export type Facts = Map<string, string>;

/** What has to be true for the attachments that are present, and nothing else but traces of torn ones. */
export const expectedFacts = (model: Model): Facts => {
  const facts: Facts = new Map();
  for (const attachment of model.attachments) {
    if (attachment.state !== 'present') continue;
    for (const [fact, owner] of factsOf(attachment)) facts.set(fact, owner);
  }
  return facts;
};

/** The comment of an attachment in nftables, back to its name; ids may be too long to be in there whole. */
export const namesByComment = (model: Model): Map<string, string> =>
  new Map(
    model.attachments.map(({ name, container, network, ifname }) => [
      ownerComment({ network: network.spec.name, containerId: container.id, ifname }),
      name,
    ]),
  );

const factsOf = (attachment: Attachment): [string, string][] => {
  const { name, addresses, container, network } = attachment;
  const { spec } = network;
  const facts = [`record of ${name}: ${addresses.join() || 'no addresses'}`];
  facts.push(...addresses.map((address) => `reservation ${spec.name} ${address} of ${name}`));
  if (spec.filter === 'nftables')
    facts.push(...addresses.map((address) => `nft element ${address} of ${name}`));
  if (spec.spoofCheck) facts.push(...['ports', 'macs'].map((set) => `nft ${set} element of ${name}`));
  const shared: string[] = [];
  if (spec.filter === 'iptables') {
    const chain = chainName(spec.name, container.id);
    shared.push(`iptables chain ${chain}`, ...addresses.map((address) => `iptables ${address} to ${chain}`));
  }
  if (attachment.lives) facts.push(...linkFacts(attachment));
  return [
    ...facts.map((fact): [string, string] => [fact, name]),
    ...shared.map((fact): [string, string] => [fact, `${spec.name} ${container.id}`]),
  ];
};

const linkFacts = ({ name, addresses, ifname, container, network, result }: Attachment): string[] => {
  const { bridge } = network.spec;
  const pod = container.pod?.name;
  const facts = [
    `host end of ${name}${bridge === undefined ? '' : ` on ${bridge}`}`,
    `interface ${ifname} in ${pod}`,
    ...(result?.ips ?? []).map(({ address }) => `address ${address} on ${ifname} in ${pod}`),
  ];
  if (bridge === undefined) facts.push(...addresses.map((address) => `host route to ${address} for ${name}`));
  return facts;
};
