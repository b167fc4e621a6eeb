import { attachToBridge } from '../../shared/attachment/bridge/attach.ts';
import { checkBridge } from '../../shared/attachment/bridge/check.ts';
import { parseBridgeConfig } from '../../shared/attachment/bridge/config.ts';
import { bridgeStatus } from '../../shared/attachment/bridge/status.ts';
import { collectAttachments } from '../../shared/attachment/collect.ts';
import { detach } from '../../shared/attachment/detach.ts';
import { conventionalArgs, type Plugin } from '../../shared/cni/plugin.ts';

/**
 * Attaches a pod to a Linux bridge by a veth, as the reference plugin of the same name. The bridge stays
 * when the last pod goes.
 */
export const plugin: Plugin = {
  title: 'bridge',
  knownArgs: conventionalArgs,
  add: (call) => attachToBridge(call, parseBridgeConfig(call), { plugin: 'bridge' }),
  del: detach,
  check: (call) => checkBridge(call, parseBridgeConfig(call)),
  gc: collectAttachments,
  status: (call) => bridgeStatus(call, parseBridgeConfig(call)),
};
