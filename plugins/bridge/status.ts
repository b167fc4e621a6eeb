import { networkStatus } from '../../shared/attachment/status.ts';
import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import type { Call } from '../../shared/cni/plugin.ts';
import { readLink } from '../../shared/kernel/link.ts';
import { requireTool } from '../../shared/kernel/tool-path.ts';
import { parseBridgeConfig, usesVlans } from './config.ts';

/** STATUS: tools, packet filter, IPAM, and that the bridge's name is not something else's. */
export const bridgeStatus = async (call: Call): Promise<void> => {
  const config = parseBridgeConfig(call);
  const device = readLink(config.bridge);
  if (device !== undefined && device.kind !== 'bridge') {
    throw new CniError(ErrorCode.notAvailable, `"bridge" names "${config.bridge}", which is no bridge`, {
      details: 'Choose another name, or remove that device.',
    });
  }
  if (usesVlans(config)) requireTool('bridge');
  await networkStatus(call, config, config.macSpoofCheck);
};
