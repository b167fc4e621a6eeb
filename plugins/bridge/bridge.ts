import { collectAttachments } from '../../shared/attachment/collect.ts';
import { detach } from '../../shared/attachment/detach.ts';
import { conventionalArgs, type Plugin } from '../../shared/cni/plugin.ts';
import { addToBridge } from './add.ts';
import { checkBridge } from './check.ts';
import { bridgeStatus } from './status.ts';

/**
 * Attaches a pod to a Linux bridge by a veth, as the reference plugin of the same name. The bridge stays
 * when the last pod goes.
 */
export const plugin: Plugin = {
  title: 'bridge',
  knownArgs: conventionalArgs,
  add: addToBridge,
  del: detach,
  check: checkBridge,
  gc: collectAttachments,
  status: bridgeStatus,
};
