import type { Call } from '../../shared/cni/plugin.ts';
import type { Result } from '../../shared/cni/types.ts';
import { readResolvConf } from '../../shared/ipam/resolv-conf.ts';
import { allocate } from '../../shared/store/reservations/allocate.ts';
import { type StoreOptions, withReservations } from '../../shared/store/reservations/store.ts';
import { addressSets, ipConfigOf } from './address-sets.ts';
import { parseHostLocal, parsePlace } from './config.ts';

/**
 * Gives the attachment one address out of each range set; the same ones again when it holds some
 * already. Throws CniError 4 or 7 for wrong input, 102 when an address can't be had, 11 when the lock
 * stays taken, 5 when the directory or the resolv.conf fails.
 */
export const add = async (call: Call, options: StoreOptions = {}): Promise<Result> => {
  const { env, config } = call;
  const hostLocal = parseHostLocal(config, env);
  const sets = addressSets(hostLocal);
  const dns = hostLocal.resolvConf === undefined ? {} : readResolvConf(hostLocal.resolvConf);
  const owner = { containerId: env.containerId, ifname: env.ifname };
  const addresses = await withReservations(
    parsePlace(config),
    (store) => allocate(store, owner, env.netns, sets),
    { checkpoint: call.checkpoint, ...options },
  );
  const ips = hostLocal.sets.flatMap((set, index) => {
    const address = addresses[index];
    return address === undefined ? [] : [ipConfigOf(set, address)];
  });
  return { interfaces: [], ips, routes: hostLocal.routes, dns };
};
