import { NUD_PERMANENT } from '../kernel/neighbour-message.ts';
import { type Devices, isIpv6, type PresentEntries, ROUTE_PROTOCOL, type WantedEntries } from './entries.ts';

/** Entries as the kernel tells them when they are in force. */
export const presentOf = (entries: WantedEntries, devices: Devices): PresentEntries => ({
  routes: [...entries.routes.values()].map(({ dst, via, over }) => ({
    ...{ dst, gateway: via, linkIndex: devices[over], table: MAIN_TABLE, protocol: ROUTE_PROTOCOL },
    ...{ scope: 0, onlink: over === 'vtep' && !isIpv6(dst) },
    ...(isIpv6(dst) ? { priority: IPV6_METRIC } : {}),
  })),
  neighbours: [...entries.neighbours].map(([address, mac]) => ({
    ...{ address, mac, state: NUD_PERMANENT, flags: 0 },
  })),
  fdb: [...entries.fdb].map(([mac, dst]) => ({ mac, dst, state: NUD_PERMANENT, flags: NTF_SELF })),
});

const MAIN_TABLE = 254;
const IPV6_METRIC = 1024;
const NTF_SELF = 2;
