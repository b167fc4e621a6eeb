import { ownerOf } from '../../shared/attachment/owner.ts';
import { withUndo } from '../../shared/attachment/undo.ts';
import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { Fields } from '../../shared/cni/fields.ts';
import type { Attachment, Call, Plugin } from '../../shared/cni/plugin.ts';
import { emptyResult, type Result } from '../../shared/cni/types.ts';
import { collectFirewall } from '../../shared/firewall/collect.ts';
import {
  applyFirewall,
  type FirewallPlan,
  findFirewallLacks,
  planFirewall,
} from '../../shared/firewall/firewall.ts';
import {
  type FirewallOptions,
  type FirewallPod,
  parseFirewallOptions,
} from '../../shared/firewall/options.ts';
import { firewallRecord, recordedFirewall } from '../../shared/firewall/record.ts';
import { removeFirewall } from '../../shared/firewall/remove.ts';
import { firewallStatus } from '../../shared/firewall/status.ts';
import { readingNft, withNftSocket } from '../../shared/kernel/nft-socket.ts';
import {
  listAttachments,
  removeAttachment,
  removeOtherAttachments,
  saveAttachment,
} from '../../shared/store/attachments.ts';
import { podOf, RECORDS, recordOf, removalOf } from './attachment.ts';

/** ADD: lets the traffic of prevResult's addresses pass, and keeps bridges apart. The result is prevResult. */
const add = (call: Call): Promise<Result> =>
  withUndo(async (undo) => {
    const options = optionsOf(call);
    const { prevResult } = call.config;
    if (prevResult === undefined) throw missingPrevResult();
    const pod = podOf(call, prevResult);
    await withNftSocket(async (socket) => {
      const plan = planFirewall(socket, pod, options);
      await call.checkpoint();
      undo.add('take the firewall rules away', () => del(call));
      remember(call, pod, options, plan);
      await applyFirewall(socket, plan);
    });
    await call.checkpoint();
    return prevResult;
  });

/** Written before anything is changed, so that DEL and GC know what a kill may leave. */
const remember = (call: Call, pod: FirewallPod, options: FirewallOptions, plan: FirewallPlan): void =>
  saveAttachment(
    {
      version: 1,
      plugin: 'firewall',
      ...pod.owner,
      netns: call.env.netns,
      addresses: pod.addresses.map((address) => ({
        address,
        subnet: `${address}/${address.includes(':') ? 128 : 32}`,
      })),
      firewall: { ...firewallRecord(pod, options, plan) },
    },
    RECORDS,
  );

/** DEL: takes the pod's rules away, wherever they are; what pods share stays. */
const del = async (call: Call): Promise<void> => {
  const { network, containerId, ifname } = ownerOf(call);
  await withNftSocket((socket) => removeFirewall(socket, removalOf(call)));
  removeAttachment(network, containerId, ifname, RECORDS);
};

/** CHECK: every chain, rule, element and source is there. */
const check = (call: Call): void => {
  const options = optionsOf(call);
  const backend = options.backend ?? recordedFirewall(recordOf(call))?.options.backend;
  const pod = podOf(call, call.config.prevResult ?? emptyResult());
  const lacks = readingNft((socket) =>
    findFirewallLacks(socket, planFirewall(socket, pod, { ...options, backend })),
  );
  if (lacks.length === 0) return;
  throw new CniError(ErrorCode.checkFailed, `the firewall is incomplete: ${lacks[0]}`, {
    details: `${lacks.join('; ')}. Something else has changed it; "podwire repair" makes it whole again.`,
  });
};

const gc = async (call: Call, valid: Attachment[]): Promise<void> => {
  const network = call.config.name;
  await withNftSocket((socket) => collectFirewall(socket, network, valid, listAttachments(network, RECORDS)));
  removeOtherAttachments(network, valid, RECORDS);
};

const status = (call: Call): void => firewallStatus(optionsOf(call));

const optionsOf = ({ config }: Call): FirewallOptions => parseFirewallOptions(new Fields(config.json));

const missingPrevResult = (): CniError =>
  new CniError(
    ErrorCode.invalidNetworkConfig,
    'the firewall needs "prevResult", and the configuration has none',
    {
      details: 'Chain it behind a plugin that makes an interface, such as "bridge".',
    },
  );

/** Lets the traffic of a pod pass, as the reference plugin of the same name. */
export const plugin: Plugin = { title: 'firewall', minVersion: '0.4.0', add, del, check, gc, status };
