import type { Command } from 'commander';
import { addInstallFlags, type InstallFlags } from './flags.ts';
import { installByFlags } from './install-action.ts';

/** `podwire install`: puts this executable under the plugins' names into the node's directory. */
export const register = (command: Command): void => {
  addInstallFlags(command)
    .addHelpText('after', examples)
    .action((flags: InstallFlags) => installByFlags(flags, false));
};

const examples = `
One copy of this executable, and a hard link of it for each name; each name is replaced at once, so that a runtime
which is calling the old one is not disturbed. Running pods keep their network. An older podwire is replaced, a newer
one only with --force. What is installed already is never removed by an installation. A second call changes nothing.

Examples:
  podwire install                                        all plugins into /opt/cni/bin
  podwire install --bin-dir /usr/lib/cni --takeover      in the place of Debian's containernetworking-plugins
  podwire install --plugins bridge,host-local,loopback
  podwire install --conflist 10-podwire.conflist         and into /etc/cni/net.d
  podwire install --host-root /host                      in an init container, the node's root mounted at /host

Exit code: 0 it is installed, 1 it is not, and why, 2 wrong usage.`;
