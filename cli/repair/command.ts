import type { Command } from 'commander';
import { ReportedFailure } from '../failure.ts';
import { listOption } from '../option.ts';
import { styleFor, writeOut } from '../terminal.ts';
import { renderReport, reportObject } from './render.ts';
import { repair } from './repair.ts';
import { repairers } from './repairers.ts';

interface RepairFlags {
  network?: string[];
  dryRun?: boolean;
  json?: boolean;
}

/** `podwire repair`: puts back what the recorded attachments need of the host. */
export const register = (command: Command): void => {
  command
    .addOption(
      listOption('--network <name>', 'only the attachments of this network (repeatable)', parseNetwork),
    )
    .option('--dry-run', 'tell what is missing and change nothing')
    .option('--json', 'print a JSON object')
    .addHelpText('after', examples)
    .action(async ({ network, dryRun, json }: RepairFlags) => {
      const report = await repair(repairers, { networks: network, dryRun: dryRun === true });
      writeOut(
        json === true
          ? `${JSON.stringify(reportObject(report), null, 2)}\n`
          : renderReport(report, styleFor(1)),
      );
      if (report.failed.length > 0) throw new ReportedFailure();
    });
};

/** It becomes part of a path. */
const parseNetwork = (text: string): string => {
  if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(text)) return text;
  throw new Error('It is no name of a network.');
};

const examples = `
Puts back what something else took away: packet filter rules, forwarding, host routes, the gateway's
addresses, ports of bridges. Writes nothing where nothing is missing.

Examples:
  podwire repair                     after "nft flush ruleset", "systemctl restart firewalld", …
  podwire repair --dry-run           what is missing?
  podwire repair --network pods --json

Exit code: 0 nothing is missing any more, 1 something could not be put back, 2 wrong usage.`;
