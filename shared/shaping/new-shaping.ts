import type { Undo } from '../attachment/undo.ts';
import type { Interface } from '../cni/types.ts';
import type { Owner } from '../filter/owner.ts';
import type { IpBatch } from '../kernel/ip-batch.ts';
import { readLink } from '../kernel/link.ts';
import { startTc, type TcBatch } from '../kernel/tc-batch.ts';
import { removeAttachment } from '../store/attachments.ts';
import type { BandwidthKeys } from './bandwidth-keys.ts';
import { chooseIfb } from './ifb.ts';
import { newShaping } from './mend.ts';
import { planShaping, type ShapingPlan } from './plan.ts';
import { readShapingRecord, saveShapingRecord, shapingRecords } from './record.ts';
import { removeShaping } from './remove.ts';

/** The shaping of a veth that the caller is about to make, in steps between those of its own. */
export interface NewShaping {
  /** Plans and writes the record. Throws CniError 103 when there is no name for the ifb. */
  prepare(site: { device: string; mtu: number | undefined; netns: string }): void;
  /** Adds the ifb to the caller's batch for the host. */
  addHostLines(batch: IpBatch): void;
  /** The veth is there: begins to set the limits. */
  begin(): void;
  /** Waits until they are set; returns the ifb. Throws CniError 100 or 104. */
  finish(): Interface[];
}

/** Starts a `tc` that waits. Throws CniError 100 when there is none; the undo takes everything back. */
export const startNewShaping = (owner: Owner, keys: BandwidthKeys, undo: Undo): NewShaping => {
  const tc = startTc();
  undo.add('end the waiting tc', () => tc.dismiss());
  let plan: ShapingPlan | undefined;
  let netns = '';
  let batch: TcBatch | undefined;
  let pending: (() => string) | undefined;
  const wait = (): void => {
    const end = pending;
    pending = undefined;
    end?.();
  };
  const planned = (): ShapingPlan => {
    if (plan === undefined) throw new TypeError('shaping that was not prepared');
    return plan;
  };
  return {
    prepare: (site) => {
      netns = site.netns;
      const { device, mtu = VETH_MTU } = site;
      plan = planShaping(keys, { device, mtu }, chooseIfb(owner, readShapingRecord(owner)?.shaping));
      const { network, containerId, ifname } = owner;
      undo.add('forget the shaping', () => removeAttachment(network, containerId, ifname, shapingRecords));
      undo.add('remove the shaping', () => removeShaping(owner, undefined));
      saveShapingRecord(owner, { netns, hostIndex: 0, shaping: plan }, false);
    },
    addHostLines: (host) => {
      const shaping = planned();
      const { egress } = shaping;
      batch = newShaping(shaping, egress && readLink(egress.ifb.name), host).tc;
    },
    begin: () => {
      if (batch === undefined) return;
      pending = tc.begin(batch, `could not limit the bandwidth on "${planned().device}"`);
      undo.add('wait for tc', () => {
        try {
          wait();
        } catch {
          // What it did, and what it could not do, goes with the interfaces.
        }
      });
    },
    finish: () => {
      wait();
      const shaping = planned();
      const hostIndex = readLink(shaping.device)?.index ?? 0;
      saveShapingRecord(owner, { netns, hostIndex, shaping }, true);
      const { egress } = shaping;
      return egress === undefined ? [] : [{ name: egress.ifb.name, mac: egress.ifb.mac }];
    },
  };
};

/** What the kernel gives a veth (ETH_DATA_LEN). */
const VETH_MTU = 1500;
