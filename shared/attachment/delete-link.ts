import { commandFailure } from '../kernel/command.ts';
import { readLink } from '../kernel/link.ts';
import type { Netns } from '../kernel/netns.ts';
import { startCommand } from '../kernel/running-command.ts';

/** Deletes a link of the host, or of `netns`, if it is there. Throws CniError 100 when it stays. */
export const deleteLink = async (name: string, netns?: Netns): Promise<void> => {
  const inside = <T>(body: () => T): T => (netns === undefined ? body() : netns.run(body));
  const isGone = (): boolean => inside(() => readLink(name)) === undefined;
  if (isGone()) return;
  const args = ['link', 'delete', 'dev', name];
  const command = inside(() => startCommand('ip', args));
  const ended = await command.settled(isGone).catch((error: unknown) => {
    // An ip that was killed may have done it before.
    if (isGone()) return undefined;
    throw error;
  });
  if (ended === undefined || isGone()) return;
  throw commandFailure('ip', args, ended, `could not remove the interface "${name}"`);
};
