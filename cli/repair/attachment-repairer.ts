import { masqueradePlan } from '../../shared/filter/masquerade-nft.ts';
import { findOwnedElements } from '../../shared/filter/nft-owned.ts';
import type { NftPlan } from '../../shared/filter/nft-plan.ts';
import { ownerComment } from '../../shared/filter/owner.ts';
import { podAddress } from '../../shared/filter/pod-address.ts';
import { SPOOF_SETS, spoofCheckPlan } from '../../shared/filter/spoof-check.ts';
import { type AttachmentRecord, attachmentsDirectory } from '../../shared/store/attachments.ts';
import { hostLacks } from './host-lacks.ts';
import { iptablesLacks } from './iptables-lacks.ts';
import type { Lack } from './lack.ts';
import type { Look } from './look.ts';
import type { Repairer } from './repairer.ts';

/** The attachments of `bridge`, `veth` and `vxlan`. */
export const attachmentRepairer: Repairer = {
  root: attachmentsDirectory,
  isComplete: ({ complete }) => complete === true,
  nftPlans: (record) => [...masqueradePlans(record), ...spoofPlans(record)],
  otherLacks: (record, look) => [
    ...hostLacks(record, look),
    ...iptablesLacks(record, look),
    ...unknownMac(record, look),
  ],
};

const masqueradePlans = (record: AttachmentRecord): NftPlan[] => {
  if (record.masquerade !== true || record.filter !== 'nftables' || record.addresses.length === 0) return [];
  return [masqueradePlan(record, record.addresses.map(podAddress))];
};

const spoofPlans = (record: AttachmentRecord): NftPlan[] => {
  const { hostInterface, mac } = record;
  if (record.spoofCheck !== true || hostInterface === undefined || mac === undefined) return [];
  return [spoofCheckPlan(record, hostInterface, mac)];
};

/**
 * A record of podwire 0.1 does not say which MAC was let through. What the pod's interface has now is
 * no answer: a pod that changed it is what the check is for.
 */
const unknownMac = (record: AttachmentRecord, { socket }: Look): Lack[] => {
  if (record.spoofCheck !== true || record.mac !== undefined) return [];
  const comment = ownerComment(record);
  const present = findOwnedElements(socket, SPOOF_SETS, (candidate) => candidate === comment);
  if (present.length >= SPOOF_SETS.length) return [];
  const advice =
    'the record is of an earlier podwire and does not say which MAC is right; DEL and ADD the container';
  return [{ what: 'the spoof check is incomplete', mend: { by: 'nobody', advice } }];
};
