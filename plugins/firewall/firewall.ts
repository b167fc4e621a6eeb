import { ownerOf } from '../../shared/attachment/owner.ts';
import { withUndo } from '../../shared/attachment/undo.ts';
import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { Fields } from '../../shared/cni/fields.ts';
import type { Attachment, Call, Plugin } from '../../shared/cni/plugin.ts';
import { requirePrevResult } from '../../shared/cni/prev-result.ts';
import type { Result } from '../../shared/cni/types.ts';
import { firewallLacks, podOf, removalOf } from '../../shared/firewall/attachment.ts';
import { collectFirewall } from '../../shared/firewall/collect.ts';
import { applyFirewall, planFirewall } from '../../shared/firewall/firewall.ts';
import { type FirewallOptions, parseFirewallOptions } from '../../shared/firewall/options.ts';
import { forgetFirewall, saveFirewall } from '../../shared/firewall/record.ts';
import { removeFirewall } from '../../shared/firewall/remove.ts';
import { firewallStatus } from '../../shared/firewall/status.ts';
import { withNftSocket } from '../../shared/kernel/nft-socket.ts';

/** ADD: lets the traffic of prevResult's addresses pass, and keeps bridges apart. The result is prevResult. */
const add = (call: Call): Promise<Result> =>
  withUndo(async (undo) => {
    const options = optionsOf(call);
    const prevResult = requirePrevResult(
      call.config,
      'the firewall',
      'Chain it behind a plugin that makes an interface, such as "bridge".',
    );
    const pod = podOf(call, prevResult);
    await withNftSocket(async (socket) => {
      const plan = planFirewall(socket, pod, options);
      await call.checkpoint();
      undo.add('take the firewall rules away', () => del(call));
      saveFirewall(pod, options, plan, call.env.netns);
      await applyFirewall(socket, plan);
    });
    await call.checkpoint();
    return prevResult;
  });

/** DEL: takes the pod's rules away, wherever they are; what pods share stays. */
const del = async (call: Call): Promise<void> => {
  await withNftSocket((socket) => removeFirewall(socket, removalOf(call, call.config.json)));
  forgetFirewall(ownerOf(call));
};

/** CHECK: every chain, rule, element and source is there. */
const check = (call: Call): void => {
  const lacks = firewallLacks(call, optionsOf(call));
  if (lacks.length === 0) return;
  throw new CniError(ErrorCode.checkFailed, `the firewall is incomplete: ${lacks[0]}`, {
    details: `${lacks.join('; ')}. Something else has changed it; "podwire repair" makes it whole again.`,
  });
};

const gc = (call: Call, valid: Attachment[]): Promise<void> => collectFirewall(call.config.name, valid);

const status = (call: Call): void => firewallStatus(optionsOf(call));

const optionsOf = ({ config }: Call): FirewallOptions => parseFirewallOptions(new Fields(config.json));

/** Lets the traffic of a pod pass, as the reference plugin of the same name. */
export const plugin: Plugin = { title: 'firewall', minVersion: '0.4.0', add, del, check, gc, status };
