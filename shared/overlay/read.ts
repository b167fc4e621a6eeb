import { type AddressState, readAddresses } from '../kernel/address.ts';
import { type LinkState, readLink } from '../kernel/link.ts';
import { readFdb, readNeighbours } from '../kernel/neighbour.ts';
import { type RouteState, readRoutes } from '../kernel/route.ts';
import { type PresentEntries, ROUTE_PROTOCOL } from './entries.ts';
import { isVtepDevice } from './vtep.ts';

/** The VTEP as it is. */
export interface PresentVtep {
  link: LinkState;
  addresses: AddressState[];
}

/** Reads the VTEP in the netns of the calling thread; undefined when there is no device of that name. */
export const readVtep = (device: string): PresentVtep | undefined => {
  const link = readLink(device);
  // An alternative name finds a link, too.
  if (link === undefined || link.name !== device) return undefined;
  return { link, addresses: readAddresses(link.index) };
};

/**
 * Reads what is on the VTEP with that index (undefined: there is none), and our routes over other devices; over the
 * VTEPs of other overlays only where these are given as former ones of this overlay.
 */
export const readEntries = (
  vtep: number | undefined,
  formerVteps: readonly string[] = [],
): PresentEntries => ({
  routes: ([4, 6] as const).flatMap((family) => readOwnRoutes(family, vtep, formerVteps)),
  neighbours: vtep === undefined ? [] : ([4, 6] as const).flatMap((family) => readNeighbours(family, vtep)),
  fdb: vtep === undefined ? [] : readFdb(vtep),
});

const readOwnRoutes = (
  family: 4 | 6,
  vtep: number | undefined,
  formerVteps: readonly string[],
): RouteState[] => {
  const marked = withoutOtherOverlays(
    readRoutes(family, { protocol: ROUTE_PROTOCOL, discarding: true }),
    vtep,
    formerVteps,
  );
  if (vtep === undefined) return marked;
  const others = readRoutes(family, { linkIndex: vtep, exceptProtocol: ROUTE_PROTOCOL });
  return [...marked, ...others.filter(({ protocol }) => protocol !== RTPROT_KERNEL)];
};

/** Routes over the VTEP of an overlay with another VNI are that one's. */
const withoutOtherOverlays = (
  routes: RouteState[],
  vtep: number | undefined,
  formerVteps: readonly string[],
): RouteState[] => {
  const indices = new Set(routes.flatMap(({ linkIndex }) => linkIndex ?? []));
  if (vtep !== undefined) indices.delete(vtep);
  const others = [...indices].filter((index) => {
    const name = readLink(index)?.name ?? '';
    return isVtepDevice(name) && !formerVteps.includes(name);
  });
  return others.length === 0
    ? routes
    : routes.filter(({ linkIndex }) => linkIndex === undefined || !others.includes(linkIndex));
};

const RTPROT_KERNEL = 2;
