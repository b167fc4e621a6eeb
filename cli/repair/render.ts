import type { JsonObject } from '../../shared/cni/types.ts';
import { renderSections } from '../table.ts';
import type { Style } from '../terminal.ts';
import type { Report, ReportItem } from './report.ts';

/** The report for people: what was put back, what was not and why, and a summary. */
export const renderReport = (report: Report, style: Style): string => {
  const { repaired, failed, skipped, warnings, dryRun } = report;
  const sections = [
    { label: dryRun ? 'to repair' : 'repaired', rows: sharedFirst(repaired).map(itemRow) },
    { label: 'not repaired', rows: sharedFirst(failed).map(itemRow) },
    { label: 'skipped', rows: skipped.map(itemRow) },
    { label: 'warning', rows: warnings.map((warning) => [warning]) },
  ];
  return `${headline(report, style)}\n${renderSections(sections, style)}`;
};

/** The same for programs. */
export const reportObject = ({ warnings, dryRun, attachments, intact, ...items }: Report): JsonObject => ({
  dryRun,
  attachments,
  intact,
  repaired: items.repaired.map(itemObject),
  failed: items.failed.map(itemObject),
  skipped: items.skipped.map(itemObject),
  warnings,
});

const headline = ({ attachments, intact, failed, repaired, dryRun }: Report, style: Style): string => {
  const counted = `${attachments} ${attachments === 1 ? 'attachment' : 'attachments'}`;
  if (failed.length > 0)
    return `${style.red('not all repaired')}  ${counted}, ${failed.length} problems left`;
  if (repaired.length === 0) return `${style.green('nothing to repair')}  ${counted}`;
  return `${style.green(dryRun ? 'would repair' : 'repaired')}  ${counted}, ${intact} had all of their own`;
};

const sharedFirst = (items: readonly ReportItem[]): ReportItem[] => [
  ...items.filter(({ attachment }) => attachment === undefined),
  ...items.filter(({ attachment }) => attachment !== undefined),
];

const itemRow = ({ attachment, what, why }: ReportItem): string[] => {
  const whose =
    attachment === undefined
      ? ['shared', '', '']
      : [attachment.network, attachment.containerId, attachment.ifname];
  return [...whose, why === undefined ? what : `${what}: ${why}`];
};

const itemObject = ({ attachment, what, why }: ReportItem): JsonObject => ({
  ...(attachment === undefined
    ? {}
    : {
        plugin: attachment.plugin,
        network: attachment.network,
        containerId: attachment.containerId,
        ifname: attachment.ifname,
      }),
  what,
  ...(why === undefined ? {} : { why }),
});
