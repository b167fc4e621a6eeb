import { hostEndOf } from '../attachment/host-end.ts';
import { CniError, ErrorCode } from '../cni/errors.ts';
import type { Result } from '../cni/types.ts';
import { type LinkState, readLink } from '../kernel/link.ts';
import type { Netns } from '../kernel/netns.ts';

/**
 * The host end of the pod's veth, which has to be among the host's interfaces of prevResult, as in the
 * reference: indexes alone could lead to a stranger. Throws CniError 7 that says what is not as needed.
 */
export const requireHostInterface = (netns: Netns, ifname: string, prevResult: Result): LinkState => {
  const pod = netns.run(() => readLink(ifname));
  if (pod === undefined) throw unsuitable(`the container has no interface "${ifname}"`);
  const host = hostEndOf(pod);
  if (host === undefined) {
    throw unsuitable(
      `"${ifname}" is no veth whose other end is on the host (it is ${pod.kind ?? 'a device'})`,
    );
  }
  if (prevResult.interfaces.some(({ name, sandbox }) => name === host.name && !sandbox)) return host;
  throw unsuitable(`prevResult does not list "${host.name}", the host's end of "${ifname}"`);
};

/** The same for DEL, as far as it is there. */
export const hostInterfaceIfPresent = (netns: Netns | undefined, ifname: string): LinkState | undefined => {
  const pod = netns?.run(() => readLink(ifname));
  return pod === undefined ? undefined : hostEndOf(pod);
};

const unsuitable = (problem: string): CniError =>
  new CniError(ErrorCode.invalidNetworkConfig, `the bandwidth cannot be limited: ${problem}`, {
    details: 'Put bandwidth behind a plugin that attaches the container by a veth, such as bridge or ptp.',
  });
