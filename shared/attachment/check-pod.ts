import { CniError, ErrorCode } from '../cni/errors.ts';
import type { Call } from '../cni/plugin.ts';
import type { Interface, IpConfig, Result, Route } from '../cni/types.ts';
import { readAddresses } from '../kernel/address.ts';
import { type LinkState, readLink } from '../kernel/link.ts';
import { type Netns, openNetnsIfPresent } from '../kernel/netns.ts';
import { readRoutes } from '../kernel/route.ts';
import { networkCidr, sameAddress, sameCidr } from './address-compare.ts';

/** What CHECK found wrong, collected so that one error names all of it. */
export class Findings {
  readonly #problems: string[] = [];

  add(problem: string): void {
    this.#problems.push(problem);
  }

  /** Throws CniError 105 unless nothing was found. */
  throwIfAny(): void {
    if (this.#problems.length === 0) return;
    throw new CniError(ErrorCode.checkFailed, `CHECK found: ${this.#problems.join('; ')}`, {
      details: 'Something changed this attachment after ADD. DEL and ADD the container to mend it.',
    });
  }
}

/** The container's own entry of prevResult; throws CniError 105 when there is none. */
export const containerInterface = (call: Call, prevResult: Result, netns: Netns): Interface => {
  const { ifname } = call.env;
  const entry = prevResult.interfaces.find(
    ({ name, sandbox }) => name === ifname && sandbox !== undefined && isSameNetns(sandbox, netns),
  );
  if (entry !== undefined) return entry;
  throw new CniError(
    ErrorCode.checkFailed,
    `prevResult has no interface "${ifname}" in sandbox ${call.env.netns}`,
    {
      details: 'The runtime must pass the result of the ADD of this very container.',
    },
  );
};

/**
 * Compares the pod's interface with prevResult: link, MAC, MTU, addresses and routes. Whatever is there
 * besides is left alone: later plugins of a chain add to it. Returns the link, if there is one.
 */
export const checkPodInterface = (
  prevResult: Result,
  expected: Interface,
  netns: Netns,
  findings: Findings,
  mayBeDown = false,
): LinkState | undefined =>
  netns.run(() => {
    const link = readLink(expected.name);
    if (link === undefined) {
      findings.add(`interface "${expected.name}" is missing in the container`);
      return undefined;
    }
    if (!link.up && !mayBeDown) findings.add(`interface "${expected.name}" is down`);
    compareLink(link, expected, findings);
    checkAddresses(prevResult, expected, link, findings);
    checkRoutes(prevResult.routes, findings);
    return link;
  });

/** MAC and MTU, where prevResult has them. */
export const compareLink = (link: LinkState, { name, mac, mtu }: Interface, findings: Findings): void => {
  if (mac !== undefined && mac.toLowerCase() !== link.mac)
    findings.add(`"${name}" has MAC ${link.mac}, not ${mac}`);
  if (mtu !== undefined && mtu !== link.mtu) findings.add(`"${name}" has MTU ${link.mtu}, not ${mtu}`);
};

/** The addresses of prevResult that belong to this interface. */
export const podAddresses = ({ interfaces, ips }: Result, container: Interface): IpConfig[] => {
  const index = interfaces.indexOf(container);
  return ips.filter((ip) => ip.interface === undefined || ip.interface === index);
};

const isSameNetns = (sandbox: string, netns: Netns): boolean => {
  if (sandbox === netns.path) return true;
  const other = openNetnsIfPresent(sandbox);
  if (other === undefined) return false;
  other.close();
  return other.inode === netns.inode;
};

const checkAddresses = (
  prevResult: Result,
  expected: Interface,
  link: LinkState,
  findings: Findings,
): void => {
  const wanted = podAddresses(prevResult, expected);
  if (wanted.length === 0) return;
  const present = readAddresses(link.index);
  for (const { address } of wanted) {
    const found = present.find((state) => sameCidr(`${state.address}/${state.prefixLength}`, address));
    if (found === undefined) findings.add(`"${expected.name}" lacks the address ${address}`);
    else if (found.dadFailed) findings.add(`the address ${address} is used by another host, too`);
  }
};

/** The main routing table (RT_TABLE_MAIN). */
const mainTable = 254;

const checkRoutes = (routes: Route[], findings: Findings): void => {
  for (const { dst, gw, table = mainTable, priority } of routes) {
    const family = dst.includes(':') ? 6 : 4;
    const network = networkCidr(dst);
    const found = readRoutes(family, { table }).some(
      (state) =>
        state.dst === network &&
        (gw === undefined || (state.gateway !== undefined && sameAddress(state.gateway, gw))) &&
        (priority === undefined || state.priority === priority),
    );
    if (!found)
      findings.add(`the route to ${dst}${gw === undefined ? '' : ` via ${gw}`} is missing in the container`);
  }
};
