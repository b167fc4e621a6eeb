import {
  encodeDeleteFlow,
  encodeListFlows,
  type Flow,
  type FlowFilter,
  parseFlow,
} from './conntrack-message.ts';
import type { NftSocket } from './nft-socket.ts';

export type { Flow } from './conntrack-message.ts';

// By the nfnetlink socket that is open anyway: `conntrack -D` would be a child for each port, of a package
// that many nodes lack, and reads the whole table where the kernel can filter.

/** The tracked connections that match, in the netns of the socket; none where the kernel can't list them. */
export const listFlows = (socket: NftSocket, filter: FlowFilter): Flow[] =>
  (socket.ask(encodeListFlows(filter)) ?? [])
    .map(parseFlow)
    .filter((flow) => flow !== undefined)
    .filter(({ protocol, port }) => protocol === filter.protocol && (filter.port ?? port) === port);

/** Forgets a connection: its next packet is looked at by the NAT rules anew. Fine when it is gone. */
export const deleteFlow = (socket: NftSocket, flow: Flow): void => {
  socket.ask(encodeDeleteFlow(flow));
};
