import { CniError, ErrorCode } from './errors.ts';
import type { NetworkConfig } from './plugin.ts';
import type { Result } from './types.ts';

/**
 * The result of the plugin before, or for CHECK of the last ADD. `caller` is who needs it, for the message.
 * Throws CniError 7 with `details` when the configuration has none.
 */
export const requirePrevResult = (
  { prevResult }: Pick<NetworkConfig, 'prevResult'>,
  caller: string,
  details: string,
): Result => {
  if (prevResult !== undefined) return prevResult;
  throw new CniError(
    ErrorCode.invalidNetworkConfig,
    `${caller} needs "prevResult", and the configuration has none`,
    { details },
  );
};
