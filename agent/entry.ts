import { cleanUp } from './clean-up.ts';
import { withAgentLock } from './lock.ts';
import { type AgentFlags, parseAgentSettings, parseCleanupSettings } from './settings.ts';
import { useSmallHeap } from './small-heap.ts';

export type AgentAction = 'run' | 'once' | 'cleanup';

/** Carries out `podwire agent`. Throws CniError, 7 for a wrong flag, before anything is done. */
export const runAgentCommand = async (action: AgentAction, flags: AgentFlags): Promise<void> => {
  if (action === 'cleanup') {
    const settings = parseCleanupSettings(flags);
    return withAgentLock(settings.vni, () => cleanUp(settings));
  }
  const settings = parseAgentSettings(flags);
  if (action === 'run') useSmallHeap();
  const stop = new AbortController();
  return withAgentLock(settings.vni, async () => {
    if (action === 'once') {
      const { runOnce } = await import('./run-once.ts');
      return runOnce(settings);
    }
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
    const { runAgent } = await import('./agent.ts');
    return runAgent(settings, stop.signal);
  });
};
