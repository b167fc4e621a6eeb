import { collectAttachments } from '../../shared/attachment/collect.ts';
import { detach } from '../../shared/attachment/detach.ts';
import { networkStatus } from '../../shared/attachment/status.ts';
import type { Plugin } from '../../shared/cni/plugin.ts';
import { addVeth } from './add.ts';
import { checkVeth } from './check.ts';
import { parseVethConfig } from './config.ts';

/** Attaches a pod by a routed veth; drop-in for the reference's `ptp`, which is its second name. */
export const plugin: Plugin = {
  title: 'veth',
  add: addVeth,
  del: detach,
  check: checkVeth,
  gc: collectAttachments,
  status: (call) => networkStatus(call, parseVethConfig(call), false),
};
