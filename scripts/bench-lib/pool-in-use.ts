import { rmSync } from 'node:fs';
import { stateDirectory } from '../../shared/ipam/node-state.ts';
import { blockPath } from '../../shared/ipam/record-names.ts';
import type { BlockValue } from '../../shared/ipam/records.ts';
import { formatCidr, parseCidr } from '../../shared/kernel/address-math.ts';
import { createFileDatastore } from '../../shared/store/datastore/file.ts';
import { reserveAddresses } from './reservations.ts';
import { clusterIpam, ipv4Prefix, networkName } from './scenarios.ts';

const blockLength = 64;

/**
 * Has that many addresses of cluster-ipam's pool in use: a reservation for each on this node, which has the block, or the
 * claims of whole blocks by a hundred other nodes. What is claimed elsewhere is taken over by the next ADD.
 */
export const useAddresses = async (count: number, where: 'here' | 'elsewhere'): Promise<null> => {
  if (where === 'here') {
    reserveAddresses(`${clusterIpam.dataDir}/${networkName}`, ipv4Prefix, count);
    return null;
  }
  const datastore = createFileDatastore(clusterIpam.datastore);
  for (let index = 0; index * blockLength < count; index++) {
    const cidr = parseCidr(`${ipv4Prefix}.${index >> 2}.${(index & 3) * blockLength}/26`);
    if (cidr === undefined) throw new Error(`no block ${index}`);
    const value: BlockValue = {
      cidr: formatCidr(cidr),
      pool: clusterIpam.pool,
      node: `other-node-${index % 100}`,
      network: networkName,
      claimedAt: new Date().toISOString(),
    };
    // The block that the node has already stays its own.
    await datastore.create(blockPath(cidr), value).catch(() => {});
  }
  rmSync(`${stateDirectory(clusterIpam.dataDir, networkName)}/state.json`, { force: true });
  return null;
};
