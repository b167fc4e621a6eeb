import type { CniError } from '../cni/errors.ts';
import { type CommandResult, commandFailure, runCommand } from './command.ts';
import { readFileSync } from './files.ts';
import type { NftSocket } from './nft-socket.ts';
import { type RunningCommand, startCommand } from './running-command.ts';
import { toolPath } from './tool-path.ts';

export type IpFamily = 4 | 6;

/** Each has programs and tables of its own. */
export const IP_FAMILIES: readonly IpFamily[] = [4, 6];

/**
 * Which iptables: `default` is what the plain names stand for on this machine, the others are its two
 * variants, which keep their rules in different places of the kernel and do not see each other's.
 */
export type IptablesVariant = 'default' | 'nft' | 'legacy';

/** A table as `iptables-save` prints it. */
export interface IptablesTable {
  chains: string[];
  /** The `-A` lines, as printed, in order. */
  rules: string[];
  /** The built-in chains whose policy is DROP. */
  dropping: string[];
}

/** `iptables-restore`, `ip6tables-nft-save` and so on. */
export const iptablesTool = (
  family: IpFamily,
  variant: IptablesVariant,
  action: 'save' | 'restore',
): string =>
  `${family === 4 ? 'iptables' : 'ip6tables'}${variant === 'default' ? '' : `-${variant}`}-${action}`;

/** True when a variant's programs are installed for a family. */
export const hasIptables = (family: IpFamily, variant: IptablesVariant): boolean =>
  toolPath(iptablesTool(family, variant, 'restore')) !== undefined;

/**
 * Starts one transaction on the nat table: all commands (`-N`, `-A`, `-D`, `-F`, `-X` lines) or none.
 * Nothing that they do not name is changed. Throws CniError 100 when the program is missing.
 */
export const startNatTransaction = (
  socket: NftSocket,
  family: IpFamily,
  variant: IptablesVariant,
  commands: readonly string[],
): RunningCommand => startIptablesTransaction(socket, family, variant, 'nat', commands);

/** As `startNatTransaction`, on any table. */
export const startIptablesTransaction = (
  socket: NftSocket,
  family: IpFamily,
  variant: IptablesVariant,
  table: string,
  commands: readonly string[],
): RunningCommand =>
  startCommand(iptablesTool(family, variant, 'restore'), RESTORE_ARGS, {
    stdin: `*${table}\n${commands.join('\n')}\nCOMMIT\n`,
    inherit: socket.fd,
  });

/** The error for a transaction that ended with a non-zero exit code. */
export const iptablesFailure = (
  family: IpFamily,
  variant: IptablesVariant,
  result: CommandResult,
  context: string,
): CniError => commandFailure(iptablesTool(family, variant, 'restore'), RESTORE_ARGS, result, context);

/**
 * Reads a table with a child. For the legacy variant this makes the kernel set the table up when
 * it is not there yet: ask `legacyTablePresent` first. Throws CniError 100 when the program fails.
 */
export const readIptablesTable = (
  family: IpFamily,
  variant: IptablesVariant,
  table: string,
): IptablesTable => {
  const tool = iptablesTool(family, variant, 'save');
  const args = ['-t', table];
  const result = runCommand(tool, args);
  if (result.exitCode !== 0) throw commandFailure(tool, args, result, `reading the ${table} table`);
  return parseSave(result.stdout);
};

/** Whether this netns has a legacy table of that name; reading it without one would create it. */
export const legacyTablePresent = (family: IpFamily, table: string): boolean => {
  try {
    const names = readFileSync(`/proc/net/${family === 4 ? 'ip' : 'ip6'}_tables_names`);
    return names.split('\n').includes(table);
  } catch {
    return false;
  }
};

/** Parses what `iptables-save` prints of one table. */
export const parseSave = (text: string): IptablesTable => {
  const lines = text.split('\n');
  return {
    chains: lines.filter((line) => line.startsWith(':')).map((line) => line.slice(1, line.indexOf(' '))),
    rules: lines.filter((line) => line.startsWith('-A ')),
    dropping: lines.flatMap((line) => /^:(\S+) DROP /.exec(line)?.[1] ?? []),
  };
};

/** A word of a rule as `iptables-save` prints it, and as `iptables-restore` reads it back unchanged. */
export const quoteWord = (word: string): string =>
  /^[A-Za-z0-9_.-]+$/.test(word) ? word : `"${word.replace(/["'\\]/g, '\\$&')}"`;

const RESTORE_ARGS = ['--noflush', '--wait=15'];
