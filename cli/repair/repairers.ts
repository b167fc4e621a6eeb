import { attachmentRepairer } from './attachment-repairer.ts';
import { firewallRepairer } from './firewall-repairer.ts';
import { portmapRepairer } from './portmap-repairer.ts';
import type { Repairer } from './repairer.ts';
import { shapingRepairer } from './shaping-repairer.ts';

/** Everything that `podwire repair` puts back. A plugin that keeps records of its own adds a line. */
export const repairers: readonly Repairer[] = [
  attachmentRepairer,
  portmapRepairer,
  firewallRepairer,
  shapingRepairer,
];
