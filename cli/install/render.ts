import { commandName } from '../../shared/cni/plugin-names.ts';
import { renderSections } from '../table.ts';
import type { Style } from '../terminal.ts';
import type { Build } from './identify.ts';
import type { InstallReport } from './install.ts';
import type { UninstallReport } from './uninstall.ts';

/** An installation, for people. */
export const renderInstall = (report: InstallReport, style: Style): string => {
  const { action, from, to, binDir, names, putAside, conflist, warnings } = report;
  const head = {
    installed: `installed podwire ${builtAs(to)} in ${binDir}`,
    upgraded: `upgraded podwire from ${from && builtAs(from)} to ${builtAs(to)} in ${binDir}`,
    downgraded: `went back from podwire ${from && builtAs(from)} to ${builtAs(to)} in ${binDir}`,
    replaced: `replaced podwire ${from && builtAs(from)} by ${builtAs(to)} in ${binDir}`,
    unchanged: `podwire ${builtAs(to)} is installed in ${binDir} already`,
  }[action];
  const sections = [
    { label: 'plugins', rows: [[names.filter((name) => name !== commandName).join(' ')]] },
    { label: 'put aside', rows: putAside.map((path) => [path]) },
    { label: 'network', rows: conflist === undefined ? [] : [[conflist]] },
    { label: 'warning', rows: warnings.map((text) => [text]) },
  ];
  return `${style.green(head)}\n${renderSections(sections, style)}`;
};

/** A removal, for people. */
export const renderUninstall = (report: UninstallReport, style: Style): string => {
  const { removed, restored, left, network, pods, warnings } = report;
  const nothing = removed.length + restored.length + network.length === 0;
  const head = nothing ? 'there was nothing of podwire to remove' : 'removed podwire from this node';
  const sections = [
    { label: 'removed', rows: removed.map((path) => [path]) },
    { label: 'put back', rows: restored.map((path) => [path]) },
    { label: 'network', rows: network.map((text) => [text]) },
    {
      label: 'left',
      rows: left.map(({ path, why, kept }) => [
        path,
        kept === undefined ? why : `${why}; the one before: ${kept}`,
      ]),
    },
    {
      label: 'pods',
      rows: pods.map(({ network, containerId, ifname }) => [`${network} ${containerId} ${ifname}`]),
    },
    { label: 'warning', rows: warnings.map((text) => [text]) },
  ];
  return `${style.green(head)}\n${renderSections(sections, style)}`;
};

const builtAs = ({ version, buildId }: Build): string => `${version} (${buildId})`;
