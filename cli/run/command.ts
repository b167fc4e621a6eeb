import type { Command } from 'commander';
import { listOption, valueOption } from '../option.ts';
import { parseBandwidth, parseCapabilityJson, parseIp, parseMac, parsePort } from './capability-flags.ts';
import { parseArgs, parseDuration, parseKept } from './settings.ts';
import type { VerbOptions } from './verb-options.ts';

/** `podwire run add|check|del|gc|status`: a container runtime for the shell. */
export const register = (run: Command): void => {
  run.helpCommand(false).addHelpText('after', examples);

  const add = verb(run, 'add', 'attach a network namespace to a network').argument('<netns>', netnsHelp);
  attachmentOptions(add).option('--keep', 'when it fails, leave what was made instead of cleaning up');
  add.action(async (network: string, netns: string, options: VerbOptions) => {
    const { runAdd } = await import('./verbs.ts');
    await runAdd(network, netns, options);
  });

  const check = verb(run, 'check', 'check that an attachment is still as its result says');
  attachmentOptions(check.argument('<netns>', netnsHelp));
  check.action(async (network: string, netns: string, options: VerbOptions) => {
    const { runCheck } = await import('./verbs.ts');
    await runCheck(network, netns, options);
  });

  const del = verb(run, 'del', 'detach a network namespace from a network, also when it is gone');
  attachmentOptions(del.argument('[netns]', `${netnsHelp}; may be left out with --container-id`));
  del.action(async (network: string, netns: string | undefined, options: VerbOptions) => {
    if (netns === undefined && options.containerId === undefined) {
      del.error('error: del needs NETNS or --container-id', { exitCode: 2 });
    }
    const { runDel } = await import('./verbs.ts');
    await runDel(network, netns, options);
  });

  const gc = verb(run, 'gc', 'free what a network holds for attachments that are no longer valid');
  gc.argument('[netns]', 'ignored, as cnitool does')
    .addOption(
      listOption('--keep-attachment <id:ifname>', 'an attachment that is valid (repeatable)', parseKept),
    )
    .option('--keep-cached', 'every attachment in the result cache is valid')
    .option('--keep-none', 'no attachment is valid: free everything of this network');
  gc.action(async (network: string, _netns: string | undefined, options: VerbOptions) => {
    const said = [options.keepAttachment, options.keepCached, options.keepNone].filter(Boolean).length;
    if (said === 0 || (options.keepNone === true && said > 1)) {
      gc.error('error: gc needs to know what is valid: --keep-attachment, --keep-cached, or --keep-none', {
        exitCode: 2,
      });
    }
    const { runGc } = await import('./verbs.ts');
    await runGc(network, options);
  });

  const status = verb(run, 'status', 'ask whether a network can take new attachments');
  status.argument('[netns]', 'ignored, as cnitool does');
  status.action(async (network: string, _netns: string | undefined, options: VerbOptions) => {
    const { runStatus } = await import('./verbs.ts');
    await runStatus(network, options);
  });
};

const netnsHelp = 'a path, a name under /run/netns, or pid:NNN';

const verb = (run: Command, name: string, summary: string): Command =>
  run
    .command(name)
    .description(summary)
    .argument('<network>', 'name of a network in the configuration directory, or the path of a file')
    .option('--conf-dir <dir>', 'network configurations (env NETCONFPATH; default /etc/cni/net.d)')
    .addOption(
      listOption(
        '--bin-dir <dirs>',
        'plugins, repeatable or joined by ":" (env CNI_PATH; default this directory, then /opt/cni/bin)',
        (text) => text,
      ),
    )
    .option('--cache-dir <dir>', 'where results are remembered (default /var/lib/cni)')
    .addOption(valueOption('--timeout <time>', 'longest time for one plugin (default 120s)', parseDuration))
    .option('--json', 'print the result, or the error object, as JSON on stdout');

const attachmentOptions = (command: Command): Command =>
  command
    .option('-i, --ifname <name>', 'interface in the namespace (env CNI_IFNAME; default eth0)')
    .option('--container-id <id>', "container id (default made from the namespace's path, as cnitool does)")
    .addOption(valueOption('--args <pairs>', 'CNI_ARGS: K=V;K2=V2 (env CNI_ARGS)', parseArgs))
    .addOption(
      valueOption('--capability-args <json>', 'capability arguments (env CAP_ARGS)', parseCapabilityJson),
    )
    .addOption(listOption('--port <mapping>', '[HOSTIP:]HOST:CONTAINER[/PROTO] (repeatable)', parsePort))
    .addOption(
      valueOption(
        '--bandwidth <limits>',
        'ingress=RATE[/BURST],egress=RATE[/BURST] in bits, with k, M or G',
        parseBandwidth,
      ),
    )
    .addOption(valueOption('--mac <address>', 'MAC address to ask for', parseMac))
    .addOption(listOption('--ip <address>', 'IP address to ask for (repeatable)', parseIp));

const examples = `
Examples:
  podwire run add pods web --port 8080:80        attach the namespace "web" (ip netns add web)
  podwire run check pods web
  podwire run del pods web
  podwire run add ./pods.conflist pid:4711 --json
  podwire run gc pods --keep-cached              free what no remembered attachment owns
  podwire run status pods

Exit code: 0 success, 1 failure, 2 wrong usage.`;
