import { podwireBin, referenceBin } from '../support/binaries.ts';

/**
 * For `allow`, when the plugins under test are the reference's: on a DEL with an empty CNI_NETNS it finds
 * no addresses whose masquerade rules it could take away (containernetworking/plugins issue 810).
 */
export const leftByEmptyNetns: RegExp[] =
  podwireBin === referenceBin
    ? [/^(nft|ip6?tables-\S+) .*CNI-/, /^nft rule ip6? nat CNI-/, /^nft rule ip6? nat POSTROUTING /]
    : [];

/** As above: the reference bridge leaves its veth pair when IPAM fails (fixed after 1.1.1). */
export const leftByFailedAdd: RegExp[] =
  podwireBin === referenceBin ? [/^link veth/, /^netns pod: link eth0/] : [];
