import { CniError, ErrorCode } from '../../cni/errors.ts';
import type { Call } from '../../cni/plugin.ts';
import { readLink } from '../../kernel/link.ts';
import { toolPath } from '../../kernel/tool-path.ts';
import { networkStatus } from '../status.ts';
import { type BridgeConfig, usesVlans } from './config.ts';

/** STATUS: tools, packet filter, IPAM, and that the bridge's name is not something else's. */
export const bridgeStatus = async (call: Call, config: BridgeConfig): Promise<void> => {
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
