import { applyIptablesPortmap, findIptablesPortmapLacks } from '../../shared/portmap/iptables-apply.ts';
import { enableLocalnet, findLocalnetLacks } from '../../shared/portmap/localnet.ts';
import { portmapPlan } from '../../shared/portmap/nft.ts';
import { PORTMAP_RECORDS, type PortmapRecord, readPortmap } from '../../shared/portmap/record.ts';
import type { Lack } from './lack.ts';
import type { Look } from './look.ts';
import type { Repairer } from './repairer.ts';

/** What the `portmap` plugin made for attachments. */
export const portmapRepairer: Repairer = {
  root: PORTMAP_RECORDS,
  // Its record does not tell; of an ADD that was killed, DEL takes away whatever is there.
  isComplete: () => true,
  nftPlans: (record) => {
    const portmap = readPortmap(record);
    if (portmap?.backend !== 'nftables') return [];
    return [portmapPlan(portmap.owner, portmap.options, portmap.addresses)];
  },
  otherLacks: (record, look) => {
    const portmap = readPortmap(record);
    return portmap === undefined ? [] : [...iptablesLacks(portmap, look), ...localnetLacks(portmap)];
  },
};

/** The first lack mends all of them. */
const iptablesLacks = ({ backend, owner, options, addresses }: PortmapRecord, { socket }: Look): Lack[] => {
  if (backend !== 'iptables') return [];
  const run = (): Promise<void> => applyIptablesPortmap(socket, owner, options, addresses);
  return findIptablesPortmapLacks(socket, owner, options, addresses).map((what, index) => ({
    what,
    mend: { by: 'call', run: index === 0 ? run : () => {} },
  }));
};

const localnetLacks = ({ options, addresses }: PortmapRecord): Lack[] =>
  findLocalnetLacks(options, addresses).map((what) => ({
    what,
    shared: true,
    mend: { by: 'call', run: () => enableLocalnet(options, addresses) },
  }));
