import type { FailedLine } from '../kernel/batch.ts';
import { readLink } from '../kernel/link.ts';
import { type RouteState, readRoutes } from '../kernel/route.ts';
import { isInPlace } from './diff.ts';
import { isIpv6, ROUTE_PROTOCOL, type WantedEntries } from './entries.ts';

/**
 * Where a route could not be added because somebody else's leads to the same prefix: leaves that one alone,
 * takes ours out of the entries, and tells why.
 */
export const withoutForeign = (
  failed: readonly FailedLine[],
  { entries, refused }: { entries: WantedEntries; refused: Map<string, string> },
  vtep: string,
): void => {
  const taken = new Set<string>();
  for (const { line, message } of failed) {
    const [object, verb, dst] = line.split(' ');
    if (object === 'route' && verb === 'add' && dst !== undefined && /File exists/.test(message))
      taken.add(dst);
  }
  if (taken.size === 0) return;
  for (const route of foreignRoutes(taken, vtep)) {
    if (!entries.routes.delete(route.dst)) continue;
    refused.set(route.dst, `a route to ${route.dst} is there that is not ours (${described(route)})`);
  }
};

const foreignRoutes = (prefixes: ReadonlySet<string>, vtep: string): RouteState[] => {
  const index = readLink(vtep)?.index;
  return ([4, 6] as const)
    .filter((family) => [...prefixes].some((prefix) => isIpv6(prefix) === (family === 6)))
    .flatMap((family) =>
      readRoutes(family, { table: MAIN_TABLE, exceptProtocol: ROUTE_PROTOCOL, discarding: true }),
    )
    .filter((route) => prefixes.has(route.dst) && isInPlace(route) && route.linkIndex !== index);
};

const described = ({ type, gateway, linkIndex, protocol }: RouteState): string => {
  const device = linkIndex === undefined ? undefined : readLink(linkIndex)?.name;
  const words = [type, gateway && `via ${gateway}`, device && `dev ${device}`, `proto ${protocol}`];
  return words.filter(Boolean).join(' ');
};

const MAIN_TABLE = 254;
