import { CniError, ErrorCode, toCniError } from '../../shared/cni/errors.ts';
import { show } from '../../shared/cni/fields.ts';
import { IpBatch, runIpBatch } from '../../shared/kernel/ip-batch.ts';
import { type LinkState, readLink } from '../../shared/kernel/link.ts';
import { readSysctl, writeSysctl } from '../../shared/kernel/sysctl.ts';
import type { Attributes, Sysctl } from './config.ts';

// All of these work in the netns of the calling thread, the container's.

/** Gives the interface what of it differs, in one child. Throws CniError 100, or 7 when there is no such interface. */
export const applyAttributes = (ifname: string, wanted: Attributes): void => {
  const link = requireLink(ifname);
  const words = attributeWords(link, wanted);
  if (words.length === 0) return;
  runIpBatch(
    new IpBatch().add('link', 'set', 'dev', ifname, ...words),
    `could not tune "${ifname}" in the container`,
  );
};

/** How the interface differs, for CHECK. */
export const findAttributeLacks = (ifname: string, wanted: Attributes): string[] => {
  const link = readLink(ifname);
  if (link === undefined) return [`interface "${ifname}" is missing in the container`];
  const values: [string, unknown, unknown][] = [
    ['the MAC', link.mac, wanted.mac],
    ['the MTU', link.mtu, wanted.mtu],
    // Whoever listens on it may have asked for it, too.
    ['promiscuous mode', link.promiscuity > 0, wanted.promisc],
    ['all-multicast mode', link.allMulticast, wanted.allmulti],
    ['the transmit queue length', link.txQueueLength, wanted.txQLen],
  ];
  return values
    .filter(([, present, want]) => want !== undefined && present !== want)
    .map(([what, present, want]) => `${what} of "${ifname}" is ${present}, not ${want}`);
};

/** The interface. Throws CniError 7 when the container has none of that name. */
export const requireLink = (ifname: string): LinkState => {
  const link = readLink(ifname);
  if (link !== undefined) return link;
  throw new CniError(
    ErrorCode.invalidNetworkConfig,
    `the container has no interface "${ifname}" to be tuned`,
    { details: 'Chain tuning behind the plugin that makes the interface CNI_IFNAME.' },
  );
};

/** The name that a key means here, and its present value. Throws CniError 7 when there is none. */
export const readOriginalSysctl = ({ key, names }: Sysctl): [name: string, value: string] => {
  for (const name of names) {
    const value = readQuietly(name);
    if (value !== undefined) return [name, value];
  }
  throw new CniError(
    ErrorCode.invalidNetworkConfig,
    `invalid configuration: "sysctl" names ${show(key)}, which the container does not have`,
    { details: `Is it spelt right, and does this kernel have it? It would be /proc/sys/${names[0]}.` },
  );
};

/** Sets it. Throws CniError 7 with the kernel's word when it refuses the value. */
export const setSysctl = (name: string, value: string): void => {
  try {
    writeSysctl(name, value);
  } catch (cause) {
    const { message, code } = toCniError(cause);
    const isValue =
      (cause as { code?: unknown }).code === 'EINVAL' || (cause as { code?: unknown }).code === 'ERANGE';
    throw new CniError(
      isValue ? ErrorCode.invalidNetworkConfig : code,
      `could not set the sysctl ${show(name)} to ${show(value)}: ${message}`,
      { details: 'The kernel refused it. Correct the value, or leave the key out.', cause },
    );
  }
};

/** How a sysctl differs; the kernel may write a list with other spaces than it was given. */
export const findSysctlLack = (sysctl: Sysctl): string[] => {
  const [, value] = readOriginalSysctl(sysctl);
  const words = (text: string): string => text.trim().split(/\s+/).join(' ');
  return words(value) === words(sysctl.value)
    ? []
    : [`the sysctl ${show(sysctl.key)} is ${show(value)}, not ${show(sysctl.value)}`];
};

const attributeWords = (link: LinkState, wanted: Attributes): (string | number)[] => {
  const { mac, mtu, promisc, allmulti, txQLen } = wanted;
  const words: (string | number)[] = [];
  if (mac !== undefined && mac !== link.mac) words.push('address', mac);
  if (mtu !== undefined && mtu !== link.mtu) words.push('mtu', mtu);
  if (promisc !== undefined && promisc !== link.promiscuous) words.push('promisc', onOff(promisc));
  if (allmulti !== undefined && allmulti !== link.allMulticast) words.push('allmulticast', onOff(allmulti));
  if (txQLen !== undefined && txQLen !== link.txQueueLength) words.push('txqueuelen', txQLen);
  return words;
};

const onOff = (value: boolean): string => (value ? 'on' : 'off');

/** Some can only be written; nothing can be put back there. */
const readQuietly = (name: string): string | undefined => {
  try {
    return readSysctl(name);
  } catch {
    return '';
  }
};
