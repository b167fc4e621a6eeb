import { combineErrors } from '../attachment/combine-errors.ts';
import { deleteLink } from '../attachment/delete-link.ts';
import { aliasPrefix, hostInterfaceAlias, isOurAlias } from '../attachment/host-interface-name.ts';
import { CniError, ErrorCode } from '../cni/errors.ts';
import type { Attachment } from '../cni/plugin.ts';
import type { Owner } from '../filter/owner.ts';
import { type LinkState, listLinks, readLink } from '../kernel/link.ts';
import { randomMac } from '../kernel/mac.ts';
import { ifbNames } from './ifb-name.ts';
import type { Ifb, ShapingPlan } from './plan.ts';

/**
 * Name, alias and MAC for an attachment's ifb. One that is there already is taken over when it is what a
 * killed ADD of this attachment left (`known` is that one's plan, if there is a record), and otherwise
 * passed by: it is another interface's of the same container. Throws CniError 103 when no name is left.
 */
export const chooseIfb = (owner: Owner, known: ShapingPlan | undefined): Ifb => {
  const names = ifbNames(owner);
  const name = names.find((candidate) => {
    const link = readLink(candidate);
    return link === undefined || isOwn(owner, link, known);
  });
  if (name !== undefined) return { name, alias: hostInterfaceAlias(owner), mac: randomMac() };
  throw new CniError(ErrorCode.conflict, `the host interfaces ${names.join(' and ')} are in use`, {
    details: 'Remove them if nothing is shaped by them, or give the container another id.',
  });
};

/** Removes the ifbs of a network whose alias names no valid attachment. Throws as `removeLinks` does. */
export const collectIfbs = async (network: string, valid: readonly Attachment[]): Promise<void> => {
  const kept = new Set(
    valid.map(({ containerID, ifname }) => hostInterfaceAlias({ network, containerId: containerID, ifname })),
  );
  const prefix = aliasPrefix(network);
  await removeLinks(
    listLinks().filter(
      ({ kind, alias }) => kind === 'ifb' && alias?.startsWith(prefix) === true && !kept.has(alias),
    ),
  );
};

/**
 * The ifbs that are to go with an attachment, whose plan is `known` if there is a record. One without an alias is the reference plugin's, whose names
 * do not tell a container's interfaces apart; so it goes with the first of them, as it does there, but not
 * when this attachment is known to have another.
 */
export const ownIfbs = (owner: Owner, known: ShapingPlan | undefined): LinkState[] => {
  const [shared] = ifbNames(owner);
  return ifbNames(owner)
    .map((name) => readLink(name))
    .filter((link) => link !== undefined)
    .filter(
      (link) =>
        isOwn(owner, link, known) ||
        (known === undefined && link.kind === 'ifb' && link.name === shared && !isOurAlias(link.alias)),
    );
};

/** Removes all of them at once. Throws CniError 100 when one stays. */
export const removeLinks = async (links: LinkState[]): Promise<void> => {
  const outcomes = await Promise.allSettled(links.map(({ name }) => deleteLink(name)));
  const error = combineErrors(outcomes.flatMap((one) => (one.status === 'rejected' ? [one.reason] : [])));
  if (error !== undefined) throw error;
};

/** Runs what makes an ifb, among others; a kernel that has none is CniError 104. */
export const explainingIfb = <T>(run: () => T): T => {
  try {
    return run();
  } catch (error) {
    // The first is the kernel's word from 4.20 on; before, there was but the errno.
    const isRefusal = error instanceof CniError && /Unknown device type|not supported/.test(error.message);
    if (!isRefusal || !/ type ifb\b/.test(error.details ?? '')) throw error;
    throw new CniError(
      ErrorCode.unsupportedByKernel,
      'could not make the ifb: the kernel has no device type "ifb"',
      {
        details: `Load the module ifb, or use a kernel that has it. ${error.message}`,
        cause: error,
      },
    );
  }
};

/** By its alias; without one, because a kill came before that was set, by the record. */
const isOwn = (owner: Owner, { name, kind, alias }: LinkState, known: ShapingPlan | undefined): boolean =>
  kind === 'ifb' &&
  (alias === undefined ? known?.egress?.ifb.name === name : alias === hostInterfaceAlias(owner));
