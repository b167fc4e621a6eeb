import type { Owner } from '../filter/owner.ts';

/**
 * The name of the host end of an attachment's veth, the same at every call, so that DEL and GC find it
 * without netns and prevResult. `veth` as the reference names them, then 44 bits of a hash, which
 * fills the kernel's 15 bytes.
 */
export const hostInterfaceName = (owner: Owner): string => `veth${hash(ownerText(owner)).slice(0, 11)}`;

/** Names for further host devices, such as a VLAN device's port. `purpose` tells them apart. */
export const derivedInterfaceName = (purpose: string): string => `veth${hash(purpose).slice(0, 11)}`;

/**
 * The alias of the host end: tells an operator whose it is, and GC which network it belongs to when
 * nothing else is known any more. Only characters that an `ip -batch` line carries.
 */
export const hostInterfaceAlias = (owner: Owner): string => {
  const tail = `${owner.containerId}/${owner.ifname.replace(/[^A-Za-z0-9_.-]/g, '?')}`;
  return `${aliasPrefix(owner.network)}${tail}`.slice(0, aliasMax);
};

/** Whether an alias says that an interface is some attachment's host end. */
export const isOurAlias = (alias: string | undefined): boolean => alias?.startsWith(ALIAS_MARK) === true;

/** What the aliases of a network's host interfaces begin with, and no other network's. */
export const aliasPrefix = (network: string): string =>
  `${ALIAS_MARK}${network.length <= 128 ? network : `=${hash(network).slice(0, 16)}`}/`;

const ALIAS_MARK = 'podwire:';

/** The kernel's IFALIASZ, less its NUL. */
const aliasMax = 255;

const ownerText = ({ network, containerId, ifname }: Owner): string =>
  `${network}\n${containerId}\n${ifname}`;

/**
 * XXH64, as everywhere and in every version; a cryptographic one would cost each ADD 0.7 MB. Who makes
 * two names collide on purpose gains nothing: the alias tells whose an interface is.
 */
const hash = (text: string): string => Bun.hash.xxHash64(text).toString(16).padStart(16, '0');
