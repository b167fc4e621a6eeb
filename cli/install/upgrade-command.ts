import type { Command } from 'commander';
import { addInstallFlags, type InstallFlags } from './flags.ts';
import { installByFlags } from './install-action.ts';

/** `podwire upgrade`: this executable in the place of the podwire that is installed. */
export const register = (command: Command): void => {
  addInstallFlags(command)
    .addHelpText('after', examples)
    .action((flags: InstallFlags) => installByFlags(flags, true));
};

const examples = `
To be called from the new executable. Replaces the names that are installed; where all plugins were installed, those
that are new come too. Running pods keep their network: what an older podwire recorded of them stays valid. Refuses to
go back to an older version without --force.

Examples:
  ./podwire upgrade
  ./podwire upgrade --json
  ./podwire-0.1.0 upgrade --force      back to an older one

Exit code: 0 it is installed, 1 it is not, and why, 2 wrong usage.`;
