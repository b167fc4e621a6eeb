import { readFileSync, writeFileSync } from 'node:fs';
import { CniError, ErrorCode } from '../shared/cni/errors.ts';
import { withLock } from '../shared/store/lock.ts';

/**
 * Runs `body` as the only agent of this node and VNI. Throws CniError 103 when there is another, and what the
 * body throws. `details` says what to do then.
 */
export const withAgentLock = async <T>(
  vni: number,
  body: () => Promise<T>,
  details = 'Stop that one first, or give this one another --vni.',
): Promise<T> => {
  const file = `/run/podwire/locks/agent-${vni}`;
  let begun = false;
  try {
    return await withLock(
      file,
      () => {
        begun = true;
        writeFileSync(file, `${process.pid}\n`);
        return body();
      },
      { deadlineMs: 0 },
    );
  } catch (error) {
    if (begun || !(error instanceof CniError) || error.code !== ErrorCode.tryAgainLater) throw error;
    throw new CniError(
      ErrorCode.conflict,
      `an agent for the VNI ${vni} runs on this node already: process ${readFileSync(file, 'utf8').trim()}`,
      { details, cause: error },
    );
  }
};
