import { collectAttachments } from '../../shared/attachment/collect.ts';
import { detach } from '../../shared/attachment/detach.ts';
import { networkStatus } from '../../shared/attachment/status.ts';
import { attachByVeth } from '../../shared/attachment/veth/attach.ts';
import { checkVeth } from '../../shared/attachment/veth/check.ts';
import { parseVethConfig } from '../../shared/attachment/veth/config.ts';
import type { Plugin } from '../../shared/cni/plugin.ts';

/** Attaches a pod by a routed veth; drop-in for the reference's `ptp`, which is its second name. */
export const plugin: Plugin = {
  title: 'veth',
  add: (call) => attachByVeth(call, parseVethConfig(call), { plugin: 'veth' }),
  del: detach,
  check: (call) => checkVeth(call, parseVethConfig(call)),
  gc: collectAttachments,
  status: (call) => networkStatus(call, parseVethConfig(call), false),
};
