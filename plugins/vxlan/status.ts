import { bridgeStatus } from '../../shared/attachment/bridge/status.ts';
import { networkStatus } from '../../shared/attachment/status.ts';
import { CniError, ErrorCode, toCniError } from '../../shared/cni/errors.ts';
import type { Call } from '../../shared/cni/plugin.ts';
import { filterStatus } from '../../shared/filter/backend.ts';
import { toolPath } from '../../shared/kernel/tool-path.ts';
import { checkVtep } from '../../shared/overlay/check.ts';
import { parseVxlanConfig, type VxlanConfig } from './config.ts';
import { ofDevice } from './lacks.ts';
import { withNodeRanges } from './node-ranges.ts';
import { agentState, planOwn } from './overlay.ts';

/**
 * STATUS: there are prefixes for pods and a device that carries their packets, or all that an ADD needs to make
 * it; then what the attachment needs. Throws CniError 50.
 */
export const overlayStatus = async (call: Call): Promise<void> => {
  const config = parseVxlanConfig(call);
  const own = withNodeRanges(call, ownPrefixes(call, config));
  const { attachment } = config;
  if (attachment.by === 'bridge') await bridgeStatus(own, attachment.config);
  else await networkStatus(own, attachment.config, false);
};

const ownPrefixes = (call: Call, config: VxlanConfig): string[] => {
  const { peers } = config;
  if (peers.from === 'agent') {
    const state = agentState(call, config, ErrorCode.notAvailable);
    const [difference] = ofDevice(state.device, checkVtep(state));
    if (difference === undefined) return state.podCIDRs;
    throw unavailable(
      difference,
      'The agent puts this in order with its next sync. Is "podwire agent" running?',
    );
  }
  try {
    if (toolPath('bridge') === undefined)
      throw unavailable('the "bridge" command is missing', 'Install iproute2.');
    if (config.nat !== undefined) filterStatus(config.nat.backend);
    return planOwn(config, peers).plan.state.podCIDRs;
  } catch (error) {
    const { message, details } = toCniError(error);
    throw unavailable(message, details, error);
  }
};

const unavailable = (message: string, details: string | undefined, cause?: unknown): CniError =>
  new CniError(ErrorCode.notAvailable, message, { details, cause });
