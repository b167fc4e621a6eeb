import { Fields } from '../../shared/cni/fields.ts';
import type { Call } from '../../shared/cni/plugin.ts';
import { requirePrevResult } from '../../shared/cni/prev-result.ts';
import type { Result } from '../../shared/cni/types.ts';
import { type BandwidthKeys, parseBandwidthKeys } from '../../shared/shaping/bandwidth-keys.ts';

/** Throws CniError 7 that names the key at fault. */
export const parseConfig = ({ config }: Call): BandwidthKeys =>
  parseBandwidthKeys(new Fields(config.json), config.runtimeConfig);

/** The result of the plugin before. Throws CniError 7 when there is none. */
export const prevResultOf = ({ config }: Call): Result =>
  requirePrevResult(
    config,
    'bandwidth',
    'It limits what another plugin has attached: put it behind that one in the list.',
  );
