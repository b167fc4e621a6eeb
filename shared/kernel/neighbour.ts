import { SystemError } from './libc.ts';
import {
  type FdbState,
  fdbQueryParts,
  type NeighbourState,
  neighbourLinkOf,
  neighbourQueryParts,
  parseFdb,
  parseNeighbour,
  RTM_GETNEIGH,
} from './neighbour-message.ts';
import { queryRoute } from './netlink.ts';

export type { FdbState, NeighbourState } from './neighbour-message.ts';

/** The neighbour entries of a device in the netns of the calling thread; none when it does not exist. */
export const readNeighbours = (family: 4 | 6, linkIndex: number): NeighbourState[] =>
  dump(neighbourQueryParts(family, linkIndex), linkIndex).map(parseNeighbour);

/**
 * The forwarding database of a VXLAN device in the netns of the calling thread; none when it does not
 * exist. A MAC that several destinations were given for has an entry for each.
 */
export const readFdb = (linkIndex: number): FdbState[] =>
  dump(fdbQueryParts(linkIndex), linkIndex).map(parseFdb);

const dump = (parts: Uint8Array[], linkIndex: number): Uint8Array[] => {
  try {
    const answers = queryRoute({ type: RTM_GETNEIGH, parts, dump: true });
    // Kernels before 4.20 do not filter by the attribute.
    return answers.filter((answer) => neighbourLinkOf(answer) === linkIndex);
  } catch (error) {
    if (error instanceof SystemError && (error.code === 'ENODEV' || error.code === 'ENOENT')) return [];
    throw error;
  }
};
