import type { Command } from 'commander';
import { Option } from 'commander';
import { listOption, valueOption } from '../option.ts';
import type { CheckFlags } from './check.ts';
import type { ExplainFlags } from './explain.ts';
import type { GcFlags } from './gc.ts';
import type { ReleaseFlags } from './release.ts';
import type { ShowFlags } from './show.ts';

/** `podwire ipam show|check|explain|release|gc`: the operator's view of cluster-ipam. */
export const register = (command: Command): void => {
  command.helpCommand(false).addHelpText('after', examples);

  verb(command, 'show', 'show how pools, nodes or pods use addresses')
    .addOption(new Option('--by <what>', 'what to show').choices(['pool', 'node', 'pod']).default('pool'))
    .addOption(cacheDir())
    .action(async (flags: ShowFlags) => (await import('./show.ts')).show(flags));

  verb(command, 'check', 'compare datastore, node and kernel; exit code 1 when anything is wrong')
    .addOption(
      valueOption(
        '--min-age <seconds>',
        'since when an address must be held to be called unused: an ADD may be at work',
        seconds,
      ).default(60),
    )
    .addOption(
      knownNode("a node that exists (repeatable; default: the overlay's): blocks of others are told"),
    )
    .action(async (flags: CheckFlags) => (await import('./check.ts')).check(flags));

  verb(command, 'explain', 'tell which pools and block a pod gets its addresses of, and why; or why none')
    .option('--namespace <name>', "the pod's namespace", '')
    .option('--pod <name>', "the pod's name", '')
    .option('--node <name>', 'where it would run (default: here)')
    .option('--ifname <name>', 'its interface, which is part of the key of a sticky address', 'eth0')
    .addOption(pairs('--annotation <key=value>', 'an annotation of the pod, such as podwire.dev/pools=a,b'))
    .addOption(pairs('--node-label <key=value>', 'a label of the node, besides those known here'))
    .addOption(
      pairs('--namespace-label <key=value>', 'a label of the namespace, in the stead of those known here'),
    )
    .addHelpText('after', explainHelp)
    .action(async (flags: ExplainFlags) => (await import('./explain.ts')).explain(flags));

  verb(command, 'release', 'free an address, those of a pod, or all that a node has')
    .argument('[address]', 'an address')
    .option('--pod <namespace/name>', 'all addresses of this pod')
    .option('--node <name>', 'the blocks and fixed addresses of this node, which does not come back')
    .option('--force', 'also what is in use or kept')
    .addOption(cacheDir())
    .addHelpText('after', releaseHelp)
    .action(async (address: string | undefined, flags: ReleaseFlags) =>
      (await import('./release.ts')).release(address, flags),
    );

  verb(command, 'gc', 'free what is safely leaked, return empty blocks, end holds, tell the datastore')
    .option('--dry-run', 'tell what would be done and change nothing')
    .addOption(
      knownNode('a node that exists (repeatable); with it, what others have is marked, and reclaimed later'),
    )
    .action(async (flags: GcFlags) => (await import('./gc.ts')).gc(flags));
};

const verb = (command: Command, name: string, summary: string): Command =>
  command
    .command(name)
    .description(summary)
    .option('--network <name>', 'the network (default: the only one with cluster-ipam)')
    .option('--conf-dir <directory>', 'where network configurations are', '/etc/cni/net.d')
    .addOption(
      new Option('--config <file>', "a network's file, in the stead of one of the directory").conflicts(
        'network',
      ),
    )
    .option('--json', 'print a JSON object');

const cacheDir = (): Option =>
  new Option('--cache-dir <directory>', "the runtime's result cache, which knows pods' names").default(
    '/var/lib/cni',
  );

const knownNode = (description: string): Option =>
  listOption('--known-node <name>', description, (text) => text);

const pairs = (flags: string, description: string): Option =>
  listOption(flags, `${description} (repeatable)`, (text): [string, string] => {
    const [, key, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
    if (key === undefined || value === undefined) throw new Error('It must be KEY=VALUE.');
    return [key, value];
  });

const seconds = (text: string): number => {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new Error('It must be a number of seconds.');
};

const explainHelp = `
Exit code: 0 the pod would get its addresses, 1 it would not, 2 wrong usage.

Examples:
  podwire ipam explain --namespace team --pod web-0
  podwire ipam explain --annotation podwire.dev/pools=public --node n2 --node-label zone=a
  podwire ipam explain --annotation podwire.dev/addresses=10.244.1.7`;

const releaseHelp = `
Refuses, and tells what would be broken, when a pod uses an address, when it is kept for a pod that may come
back, or when the node is not known to be gone. --force does it nevertheless.

Examples:
  podwire ipam release 10.244.1.7
  podwire ipam release --pod team/web-0        forget its sticky address
  podwire ipam release --node n3               after n3 was removed for good`;

const examples = `
Reads the network's "ipam" section as the plugin does, over whichever datastore that names.

Examples:
  podwire ipam show                            pools, with bars
  podwire ipam show --by pod --network pods    addresses of this node, and all fixed ones
  podwire ipam check && echo in order
  podwire ipam check --config ./pods.conflist --json
  podwire ipam gc --dry-run
  podwire ipam explain --namespace team --pod web-0

Exit code: 0 success, 1 failure or findings, 2 wrong usage.`;
