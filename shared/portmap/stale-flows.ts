import { addressValue, protocolValue } from '../filter/nft-values.ts';
import { deleteFlow, type Flow, listFlows } from '../kernel/conntrack.ts';
import type { NftSocket } from '../kernel/nft-socket.ts';
import { lookUpRoute } from '../kernel/route-lookup.ts';
import type { PortBinding } from './mapping.ts';

export interface StaleFlowOptions {
  /** The pod's addresses. */
  addresses: readonly { address: string }[];
  /** The pod has just got the ports: what leads to it already is right. */
  arriving: boolean;
}

/**
 * Forgets tracked UDP and SCTP flows to ports whose mapping has changed. A client that goes on sending from
 * one port keeps its flow alive, and with it the way to the pod that was there before, or to the host
 * itself when there was none. Only flows to the host's own addresses, or to the pod, are meant: not those of
 * pods that talk to the same port elsewhere. Best effort: a kernel without nf_conntrack_netlink has the same
 * mappings, and its flows expire.
 */
export const forgetStaleFlows = (
  socket: NftSocket,
  bindings: readonly PortBinding[],
  { addresses, arriving }: StaleFlowOptions,
): void => {
  const pod = addresses.map(({ address }) => keyOf(addressValue(address).bytes));
  const isHosts = cachedByAddress((address) => lookUpRoute(address)?.local === true);
  const isStale = (flow: Flow): boolean => {
    const reachesPod = pod.includes(keyOf(flow.responder));
    return reachesPod ? !arriving : isHosts(flow.destination);
  };
  try {
    for (const flow of listCandidates(socket, bindings)) if (isStale(flow)) deleteFlow(socket, flow);
  } catch {
    // Nothing that a port mapping should fail for.
  }
};

/** With more ports than this, all flows of the protocol are read at once; each list is a walk through the table. */
const SINGLE_LISTS_MAX = 8;

const listCandidates = (socket: NftSocket, bindings: readonly PortBinding[]): Flow[] =>
  ([4, 6] as const).flatMap((family) =>
    (['udp', 'sctp'] as const).flatMap((name) => {
      const wanted = bindings.filter((binding) => binding.family === family && binding.protocol === name);
      const ports = [...new Set(wanted.map(({ hostPort }) => hostPort))];
      const protocol = protocolValue(name).bytes[0] ?? 0;
      const lists = ports.length <= SINGLE_LISTS_MAX ? ports : [undefined];
      return lists
        .flatMap((port) => listFlows(socket, { family, protocol, port }))
        .filter((flow) => wanted.some((binding) => binding.hostPort === flow.port && hits(binding, flow)));
    }),
  );

const hits = ({ hostAddress }: PortBinding, { destination }: Flow): boolean =>
  hostAddress === undefined || keyOf(addressValue(hostAddress).bytes) === keyOf(destination);

const keyOf = (bytes: Uint8Array): string => bytes.join('.');

const cachedByAddress = (look: (address: Uint8Array) => boolean): ((address: Uint8Array) => boolean) => {
  const known = new Map<string, boolean>();
  return (address) => {
    const key = keyOf(address);
    const result = known.get(key) ?? look(address);
    known.set(key, result);
    return result;
  };
};
