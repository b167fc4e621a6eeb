import type { Command } from 'commander';
import { Option } from 'commander';
import { listOption } from '../option.ts';
import type { IpamFlags } from './network.ts';
import type { ExplainFlags, ShowFlags } from './verbs.ts';

/** `podwire ipam show|check|explain|release|gc`: the operator's view of cluster-ipam. */
export const register = (command: Command): void => {
  command.helpCommand(false).addHelpText('after', examples);

  verb(command, 'show', 'show how pools, nodes or pods use addresses')
    .addOption(new Option('--by <what>', 'what to show').choices(['pool', 'node', 'pod']).default('pool'))
    .action(async (network: string, flags: ShowFlags) => {
      const { show } = await import('./verbs.ts');
      await show(network, flags);
    });

  verb(command, 'check', 'compare datastore, node and kernel; exit code 1 when anything is wrong').action(
    async (network: string, flags: IpamFlags) => {
      const { check } = await import('./verbs.ts');
      await check(network, flags);
    },
  );

  verb(command, 'explain', 'tell which pools and blocks a pod on this node gets its addresses of, and why')
    .option('--namespace <name>', "the pod's namespace", '')
    .addOption(listOption('--pool <name>', 'a pool that its annotation names (repeatable)', (text) => text))
    .action(async (network: string, flags: ExplainFlags) => {
      const { explain } = await import('./verbs.ts');
      await explain(network, flags);
    });

  verb(command, 'release', 'free an address that a container of this node holds whose netns is gone')
    .argument('<address>', 'the address')
    .option('--force', 'also when its netns is there')
    .action(async (network: string, address: string, flags: IpamFlags & { force?: boolean }) => {
      const { release } = await import('./verbs.ts');
      await release(network, address, flags);
    });

  verb(command, 'gc', 'return empty blocks, tell the datastore what waits to be told, end holds')
    .addOption(
      listOption(
        '--node <name>',
        'a node that exists (repeatable); with it, what others have is reclaimed',
        (text) => text,
      ),
    )
    .action(async (network: string, flags: IpamFlags & { node?: string[] }) => {
      const { gc } = await import('./verbs.ts');
      await gc(network, flags);
    });
};

const verb = (command: Command, name: string, summary: string): Command =>
  command
    .command(name)
    .description(summary)
    .argument('<network>', 'name of a network in the configuration directory, or path of its file')
    .option('--conf-dir <directory>', 'where network configurations are', '/etc/cni/net.d')
    .option('--json', 'print a JSON object');

const examples = `
Examples:
  podwire ipam show pods --by node
  podwire ipam explain pods --namespace team
  podwire ipam check pods && echo in order
  podwire ipam release pods 10.244.1.7`;
