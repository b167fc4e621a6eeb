import { CniError, ErrorCode } from '../cni/errors.ts';
import type { Call } from '../cni/plugin.ts';
import type { Interface, IpConfig, Result, Route } from '../cni/types.ts';
import { readAddresses } from '../kernel/address.ts';
import { type LinkState, readLink } from '../kernel/link.ts';
import { type Netns, openNetnsIfPresent } from '../kernel/netns.ts';
import { readRoutes } from '../kernel/route.ts';
import { networkCidr, sameAddress, sameCidr } from './address-compare.ts';
import { hostEndOf } from './host-end.ts';
import { FORWARDING_SYSCTLS, familiesOf, familiesWithoutForwarding } from './pod-sysctls.ts';

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
      details:
        'Something changed this attachment after ADD. "podwire repair" puts back what is missing on the ' +
        "host's side; for the rest, DEL and ADD the container.",
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
 * Compares the pod's interface with prevResult: link, MAC, addresses and routes. Whatever is there
 * besides is left alone, as later plugins of a chain add to it, and so is the MTU, which the tuning
 * plugin changes without saying so in its result. Returns the link, if there is one.
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
    compareMac(link, expected, findings);
    checkAddresses(prevResult, expected, link, findings);
    checkRoutes(prevResult.routes, findings);
    return link;
  });

/** The MAC, where prevResult has one. */
export const compareMac = (link: LinkState, { name, mac }: Interface, findings: Findings): void => {
  if (mac !== undefined && mac.toLowerCase() !== link.mac)
    findings.add(`"${name}" has MAC ${link.mac}, not ${mac}`);
};

/** Finds the host end of the pod's veth and compares it with prevResult; undefined when it is missing. */
export const checkHostEnd = (
  prevResult: Result,
  pod: LinkState | undefined,
  findings: Findings,
): LinkState | undefined => {
  const host = pod === undefined ? undefined : hostEndOf(pod);
  if (host === undefined) {
    findings.add("the host end of the container's veth is missing");
    return undefined;
  }
  if (!host.up) findings.add(`the host interface "${host.name}" is down`);
  const expected = prevResult.interfaces.find(({ name, sandbox }) => name === host.name && !sandbox);
  if (expected === undefined) findings.add(`prevResult does not list the host interface "${host.name}"`);
  else compareMac(host, expected, findings);
  return host;
};

/** Whether the host routes for the families of these addresses, which have their gateway on it. */
export const checkForwarding = (ips: IpConfig[], findings: Findings): void => {
  for (const family of familiesWithoutForwarding(familiesOf(ips)))
    findings.add(
      `the host does not forward IPv${family} (${FORWARDING_SYSCTLS[family].replaceAll('/', '.')})`,
    );
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

const checkRoutes = (routes: Route[], findings: Findings): void => {
  for (const { dst, gw, table, priority } of routes) {
    const family = dst.includes(':') ? 6 : 4;
    const network = networkCidr(dst);
    // Results before 1.0.0 don't say which table, and the sbr plugin moves routes to another. 0 is "not
    // given" to the kernel, both as a table and as a priority.
    const found = readRoutes(family, table ? { table } : {}).some(
      (state) =>
        state.dst === network &&
        (gw === undefined || (state.gateway !== undefined && sameAddress(state.gateway, gw))) &&
        (!priority || state.priority === priority),
    );
    if (!found)
      findings.add(`the route to ${dst}${gw === undefined ? '' : ` via ${gw}`} is missing in the container`);
  }
};
