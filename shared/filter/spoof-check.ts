import type { OwnedSet } from './nft-owned.ts';
import type { NftPlan, NftTable } from './nft-plan.ts';
import { concatenation, ifnameValue, macValue } from './nft-values.ts';
import { type Owner, ownerComment } from './owner.ts';

const FAMILY = 'bridge';
const TABLE = 'podwire_spoof';
const PORT_TYPE = 'ifname';
const MAC_TYPE = 'ifname . ether_addr';

/** Where the elements of all pods are. */
export const SPOOF_SETS: readonly OwnedSet[] = [
  { family: FAMILY, table: TABLE, set: 'ports', keyType: PORT_TYPE },
  { family: FAMILY, table: TABLE, set: 'macs', keyType: MAC_TYPE },
];

/**
 * `macspoofchk` for a pod: frames that enter the bridge by `port`, the host's end of its veth pair, from
 * any other MAC than the pod's are dropped. Ports that are not listed are left alone. Throws TypeError
 * on a port's name that is not plain.
 */
export const spoofCheckPlan = (owner: Owner, port: string, mac: string): NftPlan => {
  const common = { family: FAMILY, table: TABLE, comment: ownerComment(owner) } as const;
  const portKey = ifnameValue(port);
  return {
    feature: 'macspoofchk',
    frame: [spoofTable],
    elements: [
      { ...common, set: 'ports', key: portKey },
      { ...common, set: 'macs', key: concatenation(portKey, macValue(mac)) },
    ],
  };
};

const spoofTable: NftTable = {
  family: FAMILY,
  name: TABLE,
  sets: [
    { name: 'ports', kind: 'set', type: PORT_TYPE },
    { name: 'macs', kind: 'set', type: MAC_TYPE },
  ],
  chains: [
    {
      name: 'prerouting',
      // As the reference's: before everything else in the bridge (NF_BR_PRI_NAT_DST_BRIDGED).
      hook: { type: 'filter', name: 'prerouting', priority: -300 },
      rules: ['iifname @ports iifname . ether saddr != @macs drop'],
    },
  ],
};
