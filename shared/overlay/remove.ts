import { CniError, ErrorCode } from '../cni/errors.ts';
import { runWholeBatch } from '../kernel/batch.ts';
import type { IpBatch } from '../kernel/ip-batch.ts';
import { readLink } from '../kernel/link.ts';
import { withLock } from '../store/lock.ts';
import { diffEntries } from './diff.ts';
import { noEntries } from './entries.ts';
import { entryLines } from './lines.ts';
import { overlayLock, readNodeState, removeOverlayState } from './node-state.ts';
import { readEntries, readVtep } from './read.ts';
import { vtepDevice } from './vtep.ts';

/**
 * Takes an overlay off this host: all routes with our protocol number, the VTEP with what is on it, and the
 * state's files. Nothing happens to what is gone already, nor to a device of that name that is no VTEP.
 * Forwarding stays, as others may need it. Throws CniError 100 when something stays that is ours, 5 when a
 * file does, 11 when a sync takes too long.
 */
export const removeOverlay = (vni: number): Promise<void> =>
  withLock(overlayLock(vni), () => {
    // Who attaches pods sees first that the overlay is gone.
    const state = readNodeState(vni);
    removeOverlayState(vni);
    removeFromKernel(vtepDevice(vni), state?.underlay.device ?? '');
  });

/** The part of the kernel, in the netns of the calling thread. Throws CniError 100. */
export const removeFromKernel = (device: string, underlay = ''): void => {
  for (let attempt = 1; ; attempt += 1) {
    const batch = removalLines(device, underlay);
    if (batch.size === 0) return;
    const failed = runWholeBatch(batch, `could not remove the VTEP ${device}`);
    if (failed.length > 0 && attempt === ATTEMPTS && removalLines(device, underlay).size > 0) {
      throw new CniError(
        ErrorCode.commandFailed,
        `could not remove all of the overlay: "ip ${failed[0]?.line}" failed: ${failed[0]?.message}`,
        { details: `Look at "ip -d link show ${device}" and "ip route show table all proto 112".` },
      );
    }
    if (attempt === ATTEMPTS) return;
  }
};

const ATTEMPTS = 3;

const removalLines = (device: string, underlay: string): IpBatch => {
  const vtep = readVtep(device);
  const isOurs = vtep?.link.kind === 'vxlan';
  const devices = { vtep: isOurs ? vtep.link.index : -1, underlay: -1 };
  // What is on the VTEP goes with it, but for routes: they go first, so that no packet is sent in vain.
  const { routes } = readEntries(isOurs ? vtep.link.index : undefined);
  const changes = diffEntries({ routes, neighbours: [], fdb: [] }, noEntries(), devices);
  const names = { vtep: device, underlay, byIndex: (index: number) => readLink(index)?.name };
  const { ip } = entryLines(changes, names);
  if (isOurs) ip.add('link', 'delete', 'dev', device);
  return ip;
};
