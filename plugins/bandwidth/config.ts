import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { Fields } from '../../shared/cni/fields.ts';
import type { Call } from '../../shared/cni/plugin.ts';
import type { Result } from '../../shared/cni/types.ts';
import { type BandwidthKeys, parseBandwidthKeys } from '../../shared/shaping/bandwidth-keys.ts';

/** Throws CniError 7 that names the key at fault. */
export const parseConfig = ({ config }: Call): BandwidthKeys =>
  parseBandwidthKeys(new Fields(config.json), config.runtimeConfig);

/** The result of the plugin before. Throws CniError 7 when there is none. */
export const requirePrevResult = ({ config }: Call): Result => {
  if (config.prevResult !== undefined) return config.prevResult;
  throw new CniError(
    ErrorCode.invalidNetworkConfig,
    'bandwidth needs "prevResult", and the configuration has none',
    { details: 'It limits what another plugin has attached: put it behind that one in the list.' },
  );
};
