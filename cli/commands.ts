import type { Command } from 'commander';

/** What a subcommand's module exports: it declares its arguments and action on its own `Command`. */
export interface CommandModule {
  register(command: Command): void;
}

export interface CommandEntry {
  name: string;
  summary: string;
  /** Loaded only when this subcommand was asked for. */
  load: () => Promise<CommandModule>;
}

/** The subcommands of `podwire`, in the order the help shows them. */
export const commands: CommandEntry[] = [
  {
    name: 'run',
    summary: 'call the plugins of a network as a container runtime does: add, check, del, gc, status',
    load: () => import('./run/command.ts'),
  },
  {
    name: 'repair',
    summary: 'put back what attachments need of the host: packet filter, routes, forwarding',
    load: () => import('./repair/command.ts'),
  },
  {
    name: 'topology',
    summary: 'draw the node, its pods and its peers, as text or as a picture (SVG)',
    load: () => import('./topology/command.ts'),
  },
  {
    name: 'ipam',
    summary: 'show, check, explain and clear up the addresses of cluster-ipam',
    load: () => import('./ipam/command.ts'),
  },
  {
    name: 'agent',
    summary: "keep this node's VXLAN overlay: VTEP, peers, NAT, the network configuration",
    load: () => import('./agent/command.ts'),
  },
  {
    name: 'install',
    summary: "put this executable under the plugins' names into the directory of the runtime",
    load: () => import('./install/install-command.ts'),
  },
  {
    name: 'upgrade',
    summary: 'put this executable in the place of the podwire that is installed',
    load: () => import('./install/upgrade-command.ts'),
  },
  {
    name: 'uninstall',
    summary: 'take podwire off this node: executables, configuration, overlay, tables, devices',
    load: () => import('./install/uninstall-command.ts'),
  },
  {
    name: 'version',
    summary: 'show version, build id and the CNI versions supported',
    load: () => import('./version/command.ts'),
  },
];
