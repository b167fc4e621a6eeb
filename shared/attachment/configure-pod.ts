import { CniError, ErrorCode } from '../cni/errors.ts';
import { readAddresses } from '../kernel/address.ts';
import { announce } from '../kernel/announce.ts';
import type { WaitingIp } from '../kernel/ip-batch.ts';
import { readLink } from '../kernel/link.ts';
import type { Netns } from '../kernel/netns.ts';
import { type PodInterface, podBatch } from './pod-batch.ts';
import { preparePodInterface } from './pod-sysctls.ts';

/** How long duplicate address detection may take: RFC 4862 sends one probe and waits a second. */
const dadTimeoutMs = 10_000;

/**
 * Sets up the pod's interface inside its netns: sysctls, then one batch for `ip`, which was started in
 * there. Throws CniError 100.
 */
export const configurePod = (netns: Netns, ip: WaitingIp, pod: PodInterface): void => {
  netns.run(() => preparePodInterface(pod.ifname, pod.ips, pod.enableDad));
  ip.run(podBatch(pod), `could not configure "${pod.ifname}" in the container`);
};

/**
 * Waits until duplicate address detection has passed for all of the pod's addresses. Throws CniError
 * 103 when another host has one of them, 11 when it does not end.
 */
export const waitForDad = async (netns: Netns, ifname: string): Promise<void> => {
  const deadline = performance.now() + dadTimeoutMs;
  for (;;) {
    const addresses = netns.run(() => {
      const link = readLink(ifname);
      return link === undefined ? [] : readAddresses(link.index);
    });
    const duplicate = addresses.find(({ dadFailed }) => dadFailed);
    if (duplicate !== undefined) {
      throw new CniError(ErrorCode.conflict, `the address ${duplicate.address} is used by another host`, {
        details:
          'Duplicate address detection found it on the link; free it there, or exclude it from the range.',
      });
    }
    if (!addresses.some(({ tentative }) => tentative)) return;
    if (performance.now() > deadline) {
      throw new CniError(ErrorCode.tryAgainLater, `duplicate address detection on "${ifname}" did not end`, {
        details: `It was given ${dadTimeoutMs / 1000} s; is the link up on the host's side?`,
      });
    }
    await Bun.sleep(20);
  }
};

/**
 * Tells the neighbours where the pod's addresses are now, so that one who knew an earlier owner of an
 * address does not send there until its entry expires. Best effort: the pod works without it.
 */
export const announcePod = (netns: Netns, ifname: string): void => {
  try {
    announce(netns, ifname);
  } catch {
    // A link that is down again already has nobody to be announced to.
  }
};
