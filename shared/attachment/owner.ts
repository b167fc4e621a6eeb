import type { Call } from '../cni/plugin.ts';
import type { Owner } from '../filter/owner.ts';

/** The attachment a call is about: what is made for it is found again by this. */
export const ownerOf = ({ env, config }: Call): Owner => ({
  network: config.name,
  containerId: env.containerId,
  ifname: env.ifname,
});
