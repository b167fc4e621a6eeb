import { FORWARDING_SYSCTLS } from '../attachment/pod-sysctls.ts';
import { readLink } from '../kernel/link.ts';
import { readRoutes } from '../kernel/route.ts';
import { readSysctl, writeSysctl } from '../kernel/sysctl.ts';
import type { WantedVtep } from './plan.ts';

/**
 * Sets what the VTEP needs: no addresses or routes by router advertisements; of a source that another
 * interface leads to, packets are taken (rp_filter): a node's own process may send to a pod from the
 * underlay's address. Returns the settings that were changed.
 */
export const setVtepSysctls = ({ device, addresses }: WantedVtep): string[] => {
  const changed: string[] = [];
  const set = (name: string, value: string) => {
    const before = readSysctl(name);
    if (before === undefined || before === value || !writeSysctl(name, value)) return;
    changed.push(`${name.replaceAll('/', '.')} was ${before}, is ${value}`);
  };
  const v6 = `net/ipv6/conf/${device}`;
  set(`${v6}/accept_ra`, '0');
  set(`${v6}/accept_dad`, '0');
  // No link-local address of its own: nothing on it needs one.
  set(`${v6}/addr_gen_mode`, '1');
  if (addresses.some((prefix) => prefix.includes(':'))) set(`${v6}/disable_ipv6`, '0');
  const v4 = `net/ipv4/conf/${device}/rp_filter`;
  if (effectiveRpFilter(device) === STRICT) set(v4, '2');
  return changed;
};

/**
 * Lets the host route for the families of the pods. A device that takes its default route from router
 * advertisements goes on doing so: on a router the kernel heeds them only with accept_ra 2, and drops at
 * once what it learnt. Returns the settings that were changed.
 */
export const enableOverlayForwarding = (families: readonly (4 | 6)[], underlay: string): string[] => {
  const changed: string[] = [];
  for (const family of families) {
    const name = FORWARDING_SYSCTLS[family];
    if (readSysctl(name) !== '0') continue;
    if (family === 6) changed.push(...keepAdvertisedRoutes(underlay));
    if (writeSysctl(name, '1')) changed.push(`${name.replaceAll('/', '.')} was 0, is 1`);
  }
  return changed;
};

const keepAdvertisedRoutes = (underlay: string): string[] => {
  const advertised = readRoutes(6, { protocol: RTPROT_RA }).flatMap(({ linkIndex }) => {
    const link = linkIndex === undefined ? undefined : readLink(linkIndex);
    return link === undefined ? [] : [link.name];
  });
  return [...new Set([underlay, ...advertised])].flatMap((device) => {
    const name = `net/ipv6/conf/${device}/accept_ra`;
    if (readSysctl(name) !== '1' || !writeSysctl(name, '2')) return [];
    return [`${name.replaceAll('/', '.')} was 1, is 2`];
  });
};

/** The kernel goes by the larger of the two. */
const effectiveRpFilter = (device: string): number =>
  Math.max(...['all', device].map((scope) => Number(readSysctl(`net/ipv4/conf/${scope}/rp_filter`) ?? '0')));

const STRICT = 1;
const RTPROT_RA = 9;
