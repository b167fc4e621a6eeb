import { existsSync, readFileSync } from 'node:fs';
import type { PluginOutcome } from '../../support/call-plugin.ts';
import type { Stage } from './stage.ts';

/** The calls of a runtime of which each alone has to clear up after a killed one. */
export const recoveryNames = ['DEL', 'DEL without netns', 'GC', 'ADD'] as const;
export type RecoveryName = (typeof recoveryNames)[number];

/** Carries it out; what was wrong with it, or undefined. */
export const recover = async (stage: Stage, recovery: RecoveryName): Promise<string | undefined> => {
  switch (recovery) {
    case 'DEL':
      return silent('DEL', await stage.call('DEL'));
    case 'DEL without netns':
      return silent(recovery, await stage.call('DEL', { env: { CNI_NETNS: '' } }));
    case 'GC':
      return silent('GC', await stage.collect());
    case 'ADD':
      return (await repeat(stage)) ?? silent('the DEL after ADD', await stage.call('DEL'));
  }
};

/** What is wrong with a call that should succeed without a word; undefined when nothing. */
export const silent = (title: string, { exitCode, signal, stdout, stderr }: PluginOutcome) =>
  exitCode === 0 && stderr === ''
    ? undefined
    : `${title}: exit ${exitCode ?? signal}: ${`${stdout}${stderr}`.replaceAll(/\s+/g, ' ')}`;

/**
 * One that was complete but for its output, or of which a DEL had not removed the link yet, is refused. Where the
 * row is behind another plugin, the record of that one says complete; sbr and bandwidth refuse what is there.
 */
const repeat = async (stage: Stage): Promise<string | undefined> => {
  const wasComplete = isComplete(stage);
  const added = await stage.call('ADD');
  if (wasComplete && added.error?.code === ATTACHED_ALREADY) return undefined;
  return silent('the repeated ADD', added);
};

const ATTACHED_ALREADY = 103;

const isComplete = ({ host, row, victim }: Stage): boolean => {
  const file = host.path(`/run/podwire/attachments/${row.config.name}/${victim}.eth0`);
  return existsSync(file) && JSON.parse(readFileSync(file, 'utf8')).complete === true;
};
