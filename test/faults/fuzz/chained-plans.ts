import { parseConfig as parseBandwidth, prevResultOf } from '../../../plugins/bandwidth/config.ts';
import { parseConfig as parseSbr, requireAddresses } from '../../../plugins/sbr/config.ts';
import { planSbr } from '../../../plugins/sbr/plan.ts';
import { parseTuningConfig } from '../../../plugins/tuning/config.ts';
import { ownerOf } from '../../../shared/attachment/owner.ts';
import { Fields } from '../../../shared/cni/fields.ts';
import type { Call } from '../../../shared/cni/plugin.ts';
import { createCommand, ruleCommands } from '../../../shared/filter/nft-plan.ts';
import { podOf } from '../../../shared/firewall/attachment.ts';
import { DEFAULT_ADMIN_CHAIN, firewallRules } from '../../../shared/firewall/iptables-rules.ts';
import { parseFirewallOptions } from '../../../shared/firewall/options.ts';
import { IpBatch } from '../../../shared/kernel/ip-batch.ts';
import { TcBatch } from '../../../shared/kernel/tc-batch.ts';
import { createCommands, iptablesPortmap } from '../../../shared/portmap/iptables.ts';
import { portmapPlan } from '../../../shared/portmap/nft.ts';
import { parsePortmapOptions } from '../../../shared/portmap/options.ts';
import { portmapAddresses } from '../../../shared/portmap/pod-addresses.ts';
import { addBucket, addIfb, addIngressFilters, addRoot } from '../../../shared/shaping/lines.ts';
import { planShaping } from '../../../shared/shaping/plan.ts';

/** The pure part of bandwidth's ADD: the batches that it plans, as text. Throws CniError. */
export const planBandwidth = (call: Call): string[] => {
  const keys = parseBandwidth(call);
  prevResultOf(call);
  const ifb = { name: 'ifb0123456789', alias: 'podwire:n/c/i', mac: '02:00:00:00:00:01' };
  const plan = planShaping(keys, { device: 'veth7', mtu: 1500 }, ifb);
  const links = new IpBatch();
  const queues = new TcBatch();
  addRoot(queues, plan);
  addIngressFilters(queues, plan);
  if (plan.egress !== undefined) {
    addIfb(links, ifb, plan.mtu);
    addBucket(queues, ifb.name, plan.egress.bucket);
  }
  return [links.toString(), queues.toString()];
};

/** The same for sbr, in a netns without routes. */
export const planSourceRouting = (call: Call): string[] => {
  const { ifname } = call.env;
  const addresses = requireAddresses(prevResultOf(call), ifname);
  const state = { ifname, routes: [], usedTables: new Set<number>() };
  const plans = planSbr(parseSbr(call), addresses, state);
  return plans.flatMap(({ apply, undo }) => [apply.toString(), undo.toString()]);
};

/** The same for the firewall by iptables, without the comments, which are ours and in quotes. */
export const planFirewall = (call: Call): string[] => {
  const { adminChain = DEFAULT_ADMIN_CHAIN } = parseFirewallOptions(new Fields(call.config.json));
  const { addresses } = podOf(call, prevResultOf(call));
  const { frame, pods } = firewallRules({ addresses, adminChain, policy: 'isolated', device: 'cni0' });
  return [...frame.map(({ rule }) => rule), ...pods].map(
    (rule) => `${rule.replaceAll(/-m comment --comment "[^"]*" /g, '')}\n`,
  );
};

/** The same for portmap; what is in quotes is left out. Throws when a command for nft has a line too many. */
export const planPortmap = (call: Call): string[] => {
  const runtime = new Fields(call.config.runtimeConfig, 'runtimeConfig');
  const options = parsePortmapOptions(new Fields(call.config.json), runtime);
  const pods = portmapAddresses(prevResultOf(call), call.env.ifname);
  const owner = ownerOf(call);
  if (options.backend === 'iptables') {
    const commands = pods.flatMap((pod) => createCommands(iptablesPortmap(owner, options, pod), true));
    return commands.map((command) => `${command.replaceAll(/"(?:\\.|[^"\\])*"/g, 'quoted')}\n`);
  }
  const { frame, elements } = portmapPlan(owner, options, pods);
  const rules = frame.flatMap((table) => table.chains.flatMap((chain) => ruleCommands(table, chain)));
  const broken = [...rules, ...elements.map(createCommand)].find((command) => /[\n\r]/.test(command));
  if (broken !== undefined) throw new Error(`more than one line: ${broken}`);
  return [];
};

/** tuning plans no batch before it has looked; throws when a sysctl may lead out of the netns' own. */
export const planTuning = (call: Call): string[] => {
  for (const { names } of parseTuningConfig(call).sysctls) {
    const strange = names.find((name) => !/^net\/[^/]/.test(name) || name.split('/').includes('..'));
    if (strange !== undefined) throw new Error(`a sysctl outside of net: ${strange}`);
  }
  return [];
};
