import type { Plugin } from '../../shared/cni/plugin.ts';
import { addToBridge } from './add.ts';
import { checkBridge } from './check.ts';
import { collectBridge, deleteFromBridge } from './delete.ts';
import { bridgeStatus } from './status.ts';

/** Attaches a pod to a Linux bridge by a veth, as the reference plugin of the same name. */
export const plugin: Plugin = {
  title: 'bridge',
  knownArgs: ['MAC', 'IP', 'GATEWAY'],
  add: addToBridge,
  del: deleteFromBridge,
  check: checkBridge,
  gc: collectBridge,
  status: bridgeStatus,
};
