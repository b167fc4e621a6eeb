import { variantsHolding } from '../../shared/filter/iptables-variant.ts';
import {
  type IptablesMasquerade,
  missingCommands,
  missingRules,
} from '../../shared/filter/masquerade-iptables.ts';
import { ruleLacks, wantedByFamily } from '../../shared/filter/masquerade-iptables-apply.ts';
import { podAddress } from '../../shared/filter/pod-address.ts';
import type { IpFamily, IptablesVariant } from '../../shared/kernel/iptables.ts';
import type { AttachmentRecord } from '../../shared/store/attachments.ts';
import type { Lack } from './lack.ts';
import type { Look } from './look.ts';

/** What is missing of an attachment's masquerade by iptables. Throws CniError 100. */
export const iptablesLacks = (record: AttachmentRecord, look: Look): Lack[] => {
  if (record.masquerade !== true || record.filter !== 'iptables') return [];
  return wantedByFamily(record, record.addresses.map(podAddress)).flatMap(({ family, wanted }) =>
    familyLacks(family, wanted, look),
  );
};

const familyLacks = (family: IpFamily, wanted: IptablesMasquerade, look: Look): Lack[] => {
  const variant = variantOf(family, wanted, look);
  const table = look.iptables(family, variant, 'nat');
  const commands = missingCommands(wanted, table);
  if (commands === undefined) return [];
  const what = table.chains.includes(wanted.chain)
    ? ruleLacks(family, wanted, table).join('; ')
    : `IPv${family} chain ${wanted.chain} is missing`;
  look.plan(family, variant, 'nat', commands);
  return [{ what, mend: { by: 'iptables', family, variant, table: 'nat', commands } }];
};

/** Where most of it is; where kubelet's rules are when there is nothing left. */
const variantOf = (family: IpFamily, wanted: IptablesMasquerade, look: Look): IptablesVariant => {
  const holding = variantsHolding(look.socket, family, wanted.chain)
    .map((variant) => ({ variant, table: look.iptables(family, variant, 'nat') }))
    .filter(({ table }) => table.chains.includes(wanted.chain))
    .map(({ variant, table }) => ({ variant, lacks: missingRules(wanted, table).length }))
    .sort((a, b) => a.lacks - b.lacks);
  return holding[0]?.variant ?? look.iptablesVariant();
};
