import { Command, CommanderError } from 'commander';
import { toCniError } from '../shared/cni/errors.ts';
import { commands } from './commands.ts';
import { errorObject, ReportedFailure, renderError } from './failure.ts';
import { styleFor, writeErr, writeOut } from './terminal.ts';

const ExitCode = { success: 0, failure: 1, usage: 2 } as const;

/**
 * The operator's command. `argv` are the arguments after the program's name. Returns the exit code:
 * 0 success, 1 failure, 2 wrong usage. Throws nothing: every error has been shown.
 */
export const runCli = async (argv: string[]): Promise<number> => {
  const program = await buildProgram(argv.find((argument) => !argument.startsWith('-')));
  let json = false;
  program.hook('preAction', (_program, action) => {
    json = action.opts().json === true;
  });
  try {
    await program.parseAsync(argv, { from: 'user' });
    return ExitCode.success;
  } catch (thrown) {
    // Commander has already printed its message; asking for help is its only success.
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? ExitCode.success : ExitCode.usage;
    if (thrown instanceof ReportedFailure) return ExitCode.failure;
    const error = toCniError(thrown);
    if (json) writeOut(`${JSON.stringify(errorObject(error), null, 2)}\n`);
    writeErr(renderError(error, styleFor(2)));
    return ExitCode.failure;
  }
};

const buildProgram = async (chosen: string | undefined): Promise<Command> => {
  const program = new Command('podwire')
    .description('Linux CNI plugins and what an operator needs around them.')
    .helpCommand(false)
    .exitOverride()
    .configureOutput({ writeOut, writeErr })
    .showSuggestionAfterError()
    .showHelpAfterError('(add --help for usage)');
  for (const { name, summary, load } of commands) {
    // `command()` hands the settings above down, so it comes after them.
    const command = program.command(name).description(summary);
    if (name === chosen) (await load()).register(command);
  }
  return program;
};
