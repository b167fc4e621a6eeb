import { CniError, ErrorCode } from '../cni/errors.ts';
import { isDelivered } from '../kernel/delivery.ts';
import { readLink } from '../kernel/link.ts';

/** How long the kernel may take to finish an address; a busy machine needs some ms. */
const timeoutMs = 5_000;

/**
 * Waits, in the netns of the calling thread, until an interface gets what is sent to its IPv6 addresses
 * (CIDR notation or without prefix length), so that an ADD that has returned can be relied upon. Throws
 * CniError 11.
 */
export const waitForDelivery = (ifname: string, addresses: string[]): void => {
  const pending = addresses.filter((address) => address.includes(':'));
  const index = pending.length === 0 ? undefined : readLink(ifname)?.index;
  if (index === undefined) return;
  const deadline = performance.now() + timeoutMs;
  for (const cidr of pending) {
    const [address = ''] = cidr.split('/');
    while (!isDelivered(address, index)) {
      if (performance.now() > deadline) throw notDelivered(ifname, address);
      Bun.sleepSync(1);
    }
  }
};

const notDelivered = (ifname: string, address: string): CniError =>
  new CniError(ErrorCode.tryAgainLater, `the address ${address} of "${ifname}" does not come into use`, {
    details: `It was given ${timeoutMs / 1000} s. Is the interface up, and IPv6 not switched off?`,
  });
