import { closeSync } from './files.ts';
import { checked, libc } from './libc.ts';
import type { Netns } from './netns.ts';

/**
 * Tells an interface's neighbours its addresses, so that who knew one of them by another MAC learns at
 * once: a gratuitous ARP for each IPv4 address (RFC 5227, section 3) where the sysctl arp_notify is on,
 * and an unsolicited neighbour advertisement for each IPv6 one (RFC 4861, 7.2.6) where ndisc_notify is;
 * tentative ones are left out. Call it when frames get through: link up, bridge port forwarding. Throws
 * what the kernel refused, which an ADD may ignore.
 *
 * The kernel itself sends them, when an interface's MAC is set, also to the same. Frames through a packet
 * socket of our own would do too, but the kernel lets whoever closes one, or exits with one open, wait
 * 16 ms (`synchronize_net` in packet_release).
 */
export const announce = (netns: Netns, ifname: string): void => netns.run(() => setMacAgain(ifname));

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0x80000;
const SIOCSIFHWADDR = 0x8924;
const SIOCGIFHWADDR = 0x8927;

/** struct ifreq: 16 bytes of name, then a union; here a struct sockaddr with the MAC. */
const IFREQ_BYTES = 40;

const setMacAgain = (ifname: string): void => {
  const request = new Uint8Array(IFREQ_BYTES);
  new TextEncoder().encodeInto(ifname, request.subarray(0, 15));
  const action = `announcing the addresses of ${ifname}`;
  const fd = checked(libc().socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), action);
  try {
    checked(libc().ioctl(fd, SIOCGIFHWADDR, request), action);
    checked(libc().ioctl(fd, SIOCSIFHWADDR, request), action);
  } finally {
    closeSync(fd);
  }
};
