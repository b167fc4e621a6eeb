import type { TestHost } from '../support/test-host.ts';
import { waitUntil } from '../support/wait-until.ts';

/**
 * Waits until no `ip` and no `nft` runs on the host. A tool that had its orders carries them out after its
 * caller was killed; a runtime's next call comes later than the few ms that takes.
 */
export const toolsHaveEnded = async (host: TestHost): Promise<void> => {
  const list = ['pgrep', '--ns', String(host.pid), '--nslist', 'mnt', '-x', 'ip|nft'];
  await waitUntil(
    'the tools of killed calls have ended',
    async () => (await host.attempt(list)).stdout === '',
  );
};
