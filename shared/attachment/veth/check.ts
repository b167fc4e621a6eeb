import { delegateVerb } from '../../cni/delegate.ts';
import type { Call } from '../../cni/plugin.ts';
import { emptyResult, type IpConfig } from '../../cni/types.ts';
import { checkFeatures } from '../../features/check.ts';
import { readAddresses } from '../../kernel/address.ts';
import type { LinkState } from '../../kernel/link.ts';
import { readRoutes } from '../../kernel/route.ts';
import { readAttachment } from '../../store/attachments.ts';
import { sameCidr } from '../address-compare.ts';
import {
  checkForwarding,
  checkHostEnd,
  checkPodInterface,
  containerInterface,
  Findings,
  podAddresses,
} from '../check-pod.ts';
import { requireContainerNetns } from '../container-netns.ts';
import { checkFilters } from '../filters.ts';
import { ownerOf } from '../owner.ts';
import type { VethConfig } from './config.ts';
import { hostAddresses, hostRoutes } from './routing.ts';

/**
 * CHECK: IPAM, then pod, host end, host routes and packet filter against prevResult, and what the plugin has
 * to look at `further`.
 */
export const checkVeth = async (
  call: Call,
  config: VethConfig,
  further: (findings: Findings) => void | Promise<void> = () => {},
): Promise<void> => {
  const netns = requireContainerNetns(call.env);
  const prevResult = call.config.prevResult ?? emptyResult();
  const container = containerInterface(call, prevResult, netns);
  await delegateVerb(call, 'CHECK', config.ipamType);

  const findings = new Findings();
  const pod = checkPodInterface(prevResult, container, netns, findings);
  const host = checkHostEnd(prevResult, pod, findings);
  const ips = podAddresses(prevResult, container);
  if (host !== undefined) {
    checkHostAddresses(host, ips, findings);
    checkHostRoutes(host, ips, findings);
  }
  checkForwarding(ips, findings);
  const owner = ownerOf(call);
  checkFilters(owner, readAttachment(owner.network, owner.containerId, owner.ifname), findings, {
    backend: config.ipMasqBackend,
    masquerade: config.ipMasq ? ips : [],
  });
  checkFeatures(call, config.features, host, findings);
  await further(findings);
  findings.throwIfAny();
};

const checkHostAddresses = (host: LinkState, ips: IpConfig[], findings: Findings): void => {
  const present = readAddresses(host.index);
  for (const wanted of hostAddresses(ips)) {
    if (!present.some(({ address, prefixLength }) => sameCidr(`${address}/${prefixLength}`, wanted))) {
      findings.add(`"${host.name}" lacks the gateway address ${wanted}`);
    }
  }
};

const checkHostRoutes = (host: LinkState, ips: IpConfig[], findings: Findings): void => {
  for (const wanted of hostRoutes(ips)) {
    const routes = readRoutes(wanted.includes(':') ? 6 : 4, { linkIndex: host.index });
    if (!routes.some(({ dst }) => sameCidr(dst, wanted)))
      findings.add(`the host has no route to ${wanted} by "${host.name}"`);
  }
};
