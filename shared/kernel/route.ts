import { SystemError } from './libc.ts';
import { queryRoute } from './netlink.ts';
import {
  parseRoutes,
  protocolOf,
  type RouteFilter,
  type RouteState,
  RTM_GETROUTE,
  routeQueryParts,
} from './route-message.ts';

export type { RouteState } from './route-message.ts';

/**
 * The unicast routes (and others, see `RouteFilter`) of a family in the netns of the calling thread: those over an interface, in a
 * table, or all. None when the interface or the table does not exist.
 */
export const readRoutes = (family: 4 | 6, filter: RouteFilter = {}): RouteState[] => {
  try {
    const answers = queryRoute({ type: RTM_GETROUTE, parts: routeQueryParts(family, filter), dump: true });
    const { protocol, exceptProtocol, discarding } = filter;
    const wanted = answers.filter((answer) => {
      const own = protocolOf(answer);
      return (protocol === undefined || own === protocol) && own !== exceptProtocol;
    });
    // The kernel gives all next hops of a route when one matches, and before 4.20 does not filter at all.
    return wanted
      .flatMap((answer) => parseRoutes(answer, discarding))
      .filter((route) => matches(route, filter));
  } catch (error) {
    if (error instanceof SystemError && (error.code === 'ENODEV' || error.code === 'ENOENT')) return [];
    throw error;
  }
};

/** The kernel's RT_SCOPE_LINK, of routes without a gateway and of addresses for one link. */
export const SCOPE_LINK = 253;

const matches = (route: RouteState, { linkIndex, table }: RouteFilter): boolean =>
  (linkIndex === undefined || route.linkIndex === linkIndex) &&
  (table === undefined || route.table === table);
