import { hostInterfaceAlias, isOurAlias } from '../attachment/host-interface-name.ts';
import { CniError, ErrorCode } from '../cni/errors.ts';
import type { Owner } from '../filter/owner.ts';
import { type LinkState, readLink } from '../kernel/link.ts';
import { randomMac } from '../kernel/mac.ts';
import { ifbNames } from './ifb-name.ts';
import type { Ifb } from './plan.ts';
import type { ShapingRecord } from './record.ts';

/**
 * Name, alias and MAC for an attachment's ifb. One that is there already is taken over when it is what a
 * killed ADD of this attachment left, and otherwise passed by: it is another interface's of the same
 * container. Throws CniError 103 when no name is left.
 */
export const chooseIfb = (owner: Owner, record: ShapingRecord | undefined): Ifb => {
  const names = ifbNames(owner);
  const name = names.find((candidate) => {
    const link = readLink(candidate);
    return link === undefined || isOwn(owner, link, record);
  });
  if (name !== undefined) return { name, alias: hostInterfaceAlias(owner), mac: randomMac() };
  throw new CniError(ErrorCode.conflict, `the host interfaces ${names.join(' and ')} are in use`, {
    details: 'Remove them if nothing is shaped by them, or give the container another id.',
  });
};

/**
 * The ifbs that are to go with an attachment. One without an alias is the reference plugin's, whose names
 * do not tell a container's interfaces apart; so it goes with the first of them, as it does there, but not
 * when this attachment is known to have another.
 */
export const ownIfbs = (owner: Owner, record: ShapingRecord | undefined): LinkState[] => {
  const [shared] = ifbNames(owner);
  return ifbNames(owner)
    .map((name) => readLink(name))
    .filter((link) => link !== undefined)
    .filter(
      (link) =>
        isOwn(owner, link, record) ||
        (record === undefined && link.kind === 'ifb' && link.name === shared && !isOurAlias(link.alias)),
    );
};

/** By its alias; without one, because a kill came before that was set, by the record. */
const isOwn = (owner: Owner, { name, kind, alias }: LinkState, record: ShapingRecord | undefined): boolean =>
  kind === 'ifb' &&
  (alias === undefined ? record?.shaping.egress?.ifb.name === name : alias === hostInterfaceAlias(owner));
