import { networkStatus } from '../../shared/attachment/status.ts';
import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import type { Call } from '../../shared/cni/plugin.ts';
import { readLink } from '../../shared/kernel/link.ts';
import { toolPath } from '../../shared/kernel/tool-path.ts';
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
  if (usesVlans(config) && toolPath('bridge') === undefined) {
    throw new CniError(ErrorCode.notAvailable, 'the "bridge" command, which "vlan" needs, is missing', {
      details: 'Install iproute2.',
    });
  }
  await networkStatus(call, config, config.macSpoofCheck);
};
