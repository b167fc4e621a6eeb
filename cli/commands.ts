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
    name: 'agent',
    summary: "keep this node's VXLAN overlay: VTEP, peers, NAT, the network configuration",
    load: () => import('./agent/command.ts'),
  },
  {
    name: 'version',
    summary: 'show version, build id and the CNI versions supported',
    load: () => import('./version/command.ts'),
  },
];
