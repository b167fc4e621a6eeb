import type { Command } from 'commander';
import { buildId, supportedVersions, version } from '../../shared/cni/about.ts';
import { writeOut } from '../terminal.ts';

/** `podwire version [--json]`. */
export const register = (command: Command): void => {
  command.option('--json', 'print a JSON object').action((options: { json?: boolean }) => {
    writeOut(options.json === true ? versionJson() : versionText());
  });
};

const versionText = (): string =>
  `podwire ${version}\nbuild ${buildId}\nCNI ${supportedVersions.join(', ')}\n`;

const versionJson = (): string => `${JSON.stringify({ version, buildId, supportedVersions }, null, 2)}\n`;
