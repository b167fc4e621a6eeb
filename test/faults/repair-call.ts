import { podwireBin } from '../support/binaries.ts';
import { type Outcome, systemPath } from '../support/process.ts';
import type { TestHost } from '../support/test-host.ts';

/** One line of the report of `podwire repair --json`. */
export interface RepairItem {
  plugin?: string;
  network?: string;
  containerId?: string;
  ifname?: string;
  what: string;
  why?: string;
}

export interface RepairReport {
  dryRun: boolean;
  attachments: number;
  intact: number;
  repaired: RepairItem[];
  failed: RepairItem[];
  skipped: RepairItem[];
  warnings: string[];
}

/** Runs `podwire repair`, however it ends. */
export const startRepair = (
  host: TestHost,
  args: string[] = [],
  env: Record<string, string> = {},
): Promise<Outcome> =>
  host.attempt([`${podwireBin}/podwire`, 'repair', ...args], { env: { PATH: systemPath, ...env } });

/** The report, with the exit code; throws when none was printed. */
export const repair = async (
  host: TestHost,
  args: string[] = [],
  env: Record<string, string> = {},
): Promise<RepairReport & { exitCode: number | undefined }> => {
  const { exitCode, stdout, stderr } = await startRepair(host, ['--json', ...args], env);
  if (stderr !== '') throw new Error(`podwire repair: exit ${exitCode}: ${stdout}${stderr}`);
  return { ...(JSON.parse(stdout) as RepairReport), exitCode };
};

/** What a repair reports that found nothing to do for so many attachments. */
export const intact = (attachments: number): RepairReport & { exitCode: number } => ({
  exitCode: 0,
  dryRun: false,
  attachments,
  intact: attachments,
  repaired: [],
  failed: [],
  skipped: [],
  warnings: [],
});
