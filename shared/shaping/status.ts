import { CniError, ErrorCode } from '../cni/errors.ts';
import { kernelHasLinkKind, kernelHasQdisc } from '../kernel/tc-support.ts';
import { toolPath } from '../kernel/tool-path.ts';
import type { BandwidthKeys } from './bandwidth-keys.ts';

/**
 * Whether limits can be set: `ip` and `tc` are installed, and the kernel has what these keys take (with no
 * rates in the configuration, what a runtime's need). Starts no child. Throws CniError 50.
 */
export const shapingStatus = ({ selection }: BandwidthKeys): void => {
  for (const tool of ['ip', 'tc']) {
    if (toolPath(tool) === undefined) throw lacking(`"${tool}" is not installed`, 'Install iproute2.');
  }
  for (const kind of ['tbf', ...(selection === undefined ? [] : ['htb'])]) {
    if (!kernelHasQdisc(kind)) {
      throw lacking(`the kernel has no queueing discipline "${kind}"`, `Load the module sch_${kind}.`);
    }
  }
  if (!kernelHasLinkKind('ifb')) throw lacking('the kernel has no device type "ifb"', 'Load the module ifb.');
};

const lacking = (problem: string, details: string): CniError =>
  new CniError(ErrorCode.notAvailable, `the bandwidth cannot be limited: ${problem}`, { details });
