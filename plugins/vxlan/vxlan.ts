import { collectAttachments } from '../../shared/attachment/collect.ts';
import { detach } from '../../shared/attachment/detach.ts';
import { conventionalArgs, type Plugin } from '../../shared/cni/plugin.ts';
import { addToOverlay } from './add.ts';
import { checkOverlayPod } from './check.ts';
import { anyRanges, withNodeRanges } from './node-ranges.ts';
import { recordedPrefixes } from './record.ts';
import { overlayStatus } from './status.ts';

/**
 * Attaches a pod whose node exchanges packets with other nodes' pods by VXLAN. The overlay's device stays when
 * the last pod goes.
 */
export const plugin: Plugin = {
  title: 'vxlan',
  knownArgs: conventionalArgs,
  add: addToOverlay,
  del: (call) => detach(withNodeRanges(call, recordedPrefixes(call) ?? anyRanges)),
  check: checkOverlayPod,
  gc: (call, valid) => collectAttachments(withNodeRanges(call, anyRanges), valid),
  status: overlayStatus,
};
