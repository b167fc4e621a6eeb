import { attachmentRepairer } from './attachment-repairer.ts';
import type { Repairer } from './repairer.ts';

/** Everything that `podwire repair` puts back. A plugin that keeps records of its own adds a line. */
export const repairers: readonly Repairer[] = [attachmentRepairer];
