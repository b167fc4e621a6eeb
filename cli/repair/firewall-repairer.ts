import { type FirewallPlan, planFirewall } from '../../shared/firewall/firewall.ts';
import { addToZone, findZoneLacks } from '../../shared/firewall/firewalld.ts';
import type { IptablesPart } from '../../shared/firewall/iptables-apply.ts';
import { firewallLacks, missingFirewall } from '../../shared/firewall/iptables-rules.ts';
import { recordedFirewall } from '../../shared/firewall/record.ts';
import type { AttachmentRecord } from '../../shared/store/attachments.ts';
import type { Lack } from './lack.ts';
import type { Look } from './look.ts';
import type { Repairer } from './repairer.ts';

/** What the `firewall` plugin made for attachments. */
export const firewallRepairer: Repairer = {
  root: '/run/podwire/firewall',
  // Its record does not tell; of an ADD that was killed, DEL takes away whatever is there.
  isComplete: () => true,
  nftPlans: (record, look) => planOf(record, look)?.nft ?? [],
  otherLacks: (record, look) => {
    const plan = planOf(record, look);
    if (plan === undefined) return [];
    return [...plan.iptables.flatMap((part) => partLacks(part, look)), ...zoneLacks(plan)];
  },
};

const planOf = (record: AttachmentRecord, { socket }: Look): FirewallPlan | undefined => {
  const recorded = recordedFirewall(record);
  return recorded && planFirewall(socket, recorded.pod, recorded.options);
};

const partLacks = ({ table: { family, variant }, wanted }: IptablesPart, look: Look): Lack[] => {
  const table = look.iptables(family, variant, 'filter');
  const commands = missingFirewall(wanted, table);
  if (commands === undefined) return [];
  const what = `IPv${family} ${firewallLacks(wanted, table).join('; ')}`;
  look.plan(family, variant, 'filter', commands);
  return [{ what, mend: { by: 'iptables', family, variant, table: 'filter', commands } }];
};

const zoneLacks = ({ zone }: FirewallPlan): Lack[] =>
  zone === undefined
    ? []
    : findZoneLacks(zone.name, zone.addresses).map((what) => ({
        what,
        mend: { by: 'call', run: () => addToZone(zone.name, zone.addresses) },
      }));
