import { startIp, type WaitingIp } from '../kernel/ip-batch.ts';
import type { Netns } from '../kernel/netns.ts';
import type { Undo } from './undo.ts';

export interface WaitingIps {
  host: WaitingIp;
  /** Inside the container's netns. */
  pod: WaitingIp;
}

/** Starts the two `ip` an ADD needs while it still reserves addresses. The undo ends those not used. */
export const startIps = (netns: Netns, undo: Undo): WaitingIps => {
  const host = startIp();
  undo.add('end the waiting ip', () => host.dismiss());
  const pod = netns.run(startIp);
  undo.add('end the waiting ip of the container', () => pod.dismiss());
  return { host, pod };
};
