import type { Command } from 'commander';
import { styleFor, writeOut } from '../terminal.ts';
import { addPathFlags, hostPaths, type PathFlags } from './flags.ts';
import { readManifest } from './manifest.ts';
import { renderUninstall } from './render.ts';
import { uninstall } from './uninstall.ts';

interface UninstallFlags extends PathFlags {
  force?: boolean;
}

/** `podwire uninstall`: takes everything of podwire off the node. */
export const register = (command: Command): void => {
  addPathFlags(command)
    .option('--force', 'also with pods attached: they keep their network, and what it needs stays')
    .addHelpText('after', examples)
    .action(async (flags: UninstallFlags) => {
      const installed = readManifest(hostPaths(flags))?.binDir;
      const report = await uninstall(hostPaths(flags, installed), flags.force === true);
      writeOut(
        flags.json === true ? `${JSON.stringify(report, null, 2)}\n` : renderUninstall(report, styleFor(1)),
      );
    });
};

const examples = `
Removes the executables and puts back the files of others that --takeover had put aside; removes the network
configuration that was installed, unless somebody changed it; the overlay, NAT and state of the agent; nftables
tables, unused iptables chains, devices and records. Reservations of addresses in /var/lib/cni stay, as the reference
plugins use them, too. With pods attached it refuses and names them. With --force the executables go, and all that
the pods' network needs stays until a later "podwire uninstall", from any copy of the executable.

Examples:
  podwire uninstall
  podwire uninstall --host-root /host --json
  podwire uninstall --force            pods go on; another plugin of the same name has to delete them

Exit code: 0 it is removed, 1 it is not, and why, 2 wrong usage.`;
