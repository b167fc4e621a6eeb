import { type Command, Option } from 'commander';
import type { AgentFlags } from '../../agent/settings.ts';
import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { renderError } from '../failure.ts';
import { styleFor } from '../terminal.ts';

interface AgentOptions extends AgentFlags {
  once?: boolean;
  cleanup?: boolean;
}

/** `podwire agent`: keeps the VXLAN overlay of this node in order. */
export const register = (command: Command): void => {
  groupOfRegistry(command);
  groupOfOverlay(command);
  groupOfAgent(command);
  command.addHelpText('after', examples).action(async ({ once, cleanup, ...flags }: AgentOptions) => {
    const { runAgentCommand } = await import('../../agent/entry.ts');
    try {
      await runAgentCommand(cleanup === true ? 'cleanup' : once === true ? 'once' : 'run', flags);
    } catch (error) {
      if (!(error instanceof CniError) || error.code !== ErrorCode.invalidNetworkConfig) throw error;
      command.error(renderError(error, styleFor(2)).trimEnd(), { exitCode: 2 });
    }
  });
};

const groupOfRegistry = (command: Command): void => {
  command
    .optionsGroup('Registry:')
    .option('--registry <kind>', 'who knows the nodes: kubernetes, etcd or file')
    .option('--node <name>', "this node's name (env NODE_NAME; default the host's name)")
    .option('--registry-file <file>', 'file: { "nodes": [ { "name", "addresses", "podCIDRs" } ] }, watched')
    .option('--kubeconfig <file>', "kubernetes: default the pod's service account")
    .addOption(list('--etcd-endpoints <urls>', 'etcd: client URLs, joined by commas or repeated'))
    .option('--etcd-cacert <file>', "etcd: who signed the servers' certificates (PEM)")
    .option('--etcd-cert <file>', 'etcd: client certificate (PEM)')
    .option('--etcd-key <file>', 'etcd: key of the client certificate (PEM)')
    .option('--etcd-user <name>', 'etcd: user')
    .option('--etcd-password-file <file>', "etcd: file that holds the user's password")
    .option('--etcd-prefix <prefix>', 'etcd: what the keys begin with')
    .option(
      '--etcd-grace <seconds>',
      'etcd: how long a node without a sign of life stays a peer (default 600)',
    )
    .addOption(list('--pod-cidrs <prefixes>', "etcd: this node's pod ranges, which it tells the others"))
    .addOption(list('--cluster-cidrs <prefixes>', 'etcd: in their stead, what the node claims its own of'));
};

const groupOfOverlay = (command: Command): void => {
  command
    .optionsGroup('Overlay:')
    .option('--vni <number>', 'VXLAN network identifier (default 1)')
    .option('--port <number>', 'UDP port of the VXLAN (default 8472; IANA: 4789)')
    .option(
      '--underlay <device|address>',
      "what leads to the other nodes (default the default route's device)",
    )
    .option('--mtu <bytes>', 'MTU of pods (default what the underlay leaves)')
    .option('--mode <mode>', 'vxlan, direct, or cross-subnet: direct to neighbours (default vxlan)')
    .option('--nat-outgoing', 'masquerade what pods send out of the cluster (default)')
    .option('--no-nat-outgoing', 'do not masquerade')
    .addOption(list('--nat-exclude <prefixes>', 'reached by pods with their own address, such as the nodes'))
    .option('--nat-backend <backend>', 'nftables or iptables (default nftables where it works)')
    .option(
      '--no-forward-rules',
      'no rules in the FORWARD chain of iptables that accept what goes to and from pods',
    );
};

const groupOfAgent = (command: Command): void => {
  command
    .optionsGroup('Agent:')
    .option('--cni-conf-dir <dir>', 'where 10-podwire.conflist goes (default /etc/cni/net.d)')
    .option('--conflist-template <file>', "a conflist of one's own, whose vxlan plugin is filled in")
    .option('--ipam-config <file>', 'cluster-ipam for the pods: the "ipam" of the network configuration')
    .option('--sync-interval <seconds>', 'compare the kernel at least this often (default 30)')
    .option('--health-address <address>', '/healthz, /readyz, /metrics; or "off" (default 127.0.0.1:18472)')
    .option('--log-level <level>', 'trace, debug, info, warn, error, fatal or silent (default info)')
    .addOption(new Option('--once', 'one sync, then exit: 0 when it succeeded').conflicts('cleanup'))
    .option('--cleanup', 'remove all that the agent made on this node, then exit');
};

/** Given several times, it has several values. */
const list = (flags: string, description: string): Option =>
  new Option(flags, description).argParser((text: string, before: string[] | undefined) => [
    ...(before ?? []),
    text,
  ]);

const examples = `
Runs until SIGTERM, which leaves the data path as it is. Logs JSON on stderr.

Examples:
  podwire agent --registry kubernetes
  podwire agent --registry file --registry-file /etc/podwire/nodes.json --node n1
  podwire agent --registry etcd --etcd-endpoints https://192.0.2.1:2379 --etcd-cacert ca.pem \\
    --cluster-cidrs 10.244.0.0/16,fd00:244::/48
  podwire agent --registry file --registry-file /etc/podwire/nodes.json --once
  podwire agent --cleanup

Exit code: 0 told to stop, or done; 1 failure; 2 wrong usage.`;
