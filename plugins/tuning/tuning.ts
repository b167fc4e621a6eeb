import { Findings } from '../../shared/attachment/check-pod.ts';
import { containerNetnsIfPresent, requireContainerNetns } from '../../shared/attachment/container-netns.ts';
import { ownerOf } from '../../shared/attachment/owner.ts';
import { type Undo, withUndo } from '../../shared/attachment/undo.ts';
import { CniError, ErrorCode, toCniError } from '../../shared/cni/errors.ts';
import { type Attachment, type Call, conventionalArgs, type Plugin } from '../../shared/cni/plugin.ts';
import { requirePrevResult } from '../../shared/cni/prev-result.ts';
import type { Result } from '../../shared/cni/types.ts';
import { isAtLeast } from '../../shared/cni/versions.ts';
import type { Owner } from '../../shared/filter/owner.ts';
import { readLink } from '../../shared/kernel/link.ts';
import type { Netns } from '../../shared/kernel/netns.ts';
import { writeSysctl } from '../../shared/kernel/sysctl.ts';
import { toolPath } from '../../shared/kernel/tool-path.ts';
import { requireAllowed } from './allow-list.ts';
import { type Attributes, parseDataDir, parseTuningConfig, type TuningConfig } from './config.ts';
import {
  mergeOriginals,
  type Originals,
  originalsOf,
  originalsOfOthers,
  readOriginals,
  removeOriginals,
  removeOtherOriginals,
  saveOriginals,
} from './originals.ts';
import {
  applyAttributes,
  findAttributeLacks,
  findSysctlLack,
  readOriginalSysctl,
  requireLink,
  setSysctl,
} from './settings.ts';

/** ADD: keeps the originals, then sets sysctls and attributes; the result has the interface's new MAC and MTU. */
const add = (call: Call): Promise<Result> =>
  withUndo(async (undo) => {
    const config = parseTuningConfig(call);
    const prevResult = requirePrevResult(
      call.config,
      'tuning',
      'Chain it behind a plugin that makes an interface, such as "bridge".',
    );
    requireAllowed(config.sysctls.map(({ key }) => key));
    const netns = requireContainerNetns(call.env);
    const settings = netns.run(() => readSettings(call, config, netns));
    if (settings !== undefined) {
      keep(call, config, settings.present, undo);
      await call.checkpoint();
      undo.add('put the settings back', () => netns.run(() => restore(call.env.ifname, settings.present)));
      netns.run(() => {
        for (const { name, value } of settings.sysctls) setSysctl(name, value);
        if (isAsked(config.attributes)) applyAttributes(call.env.ifname, config.attributes);
      });
      await call.checkpoint();
    }
    return updated(call, prevResult, config.attributes);
  });

/** DEL: puts back what can be put back, as the reference does, and forgets it. */
const del = (call: Call): void => {
  const dataDir = parseDataDir(call.config.json);
  const owner = ownerOf(call);
  const originals = readOriginals(dataDir, owner);
  const netns = containerNetnsIfPresent(call.env);
  const isSame = originals?.podwire === undefined || originals.podwire.netns === netns?.inode;
  if (originals !== undefined && netns !== undefined && isSame) {
    try {
      netns.run(() => restore(call.env.ifname, withoutOthers(dataDir, owner, originals, netns)));
    } catch {
      // The interface is about to go, and a container must not be stuck for what it had before. The originals
      // stay for another DEL, and GC takes them in the end.
      return;
    }
  }
  removeOriginals(dataDir, owner);
};

/** CHECK: every sysctl and attribute is as it was set. */
const check = (call: Call): void => {
  const config = parseTuningConfig(call);
  const findings = new Findings();
  requireContainerNetns(call.env).run(() => {
    const lacks = [
      ...config.sysctls.flatMap(findSysctlLack),
      ...(isAsked(config.attributes) ? findAttributeLacks(call.env.ifname, config.attributes) : []),
    ];
    for (const lack of lacks) findings.add(lack);
  });
  findings.throwIfAny();
};

const gc = (call: Call, valid: Attachment[]): void =>
  removeOtherOriginals(parseDataDir(call.config.json), call.config.name, valid);

/** STATUS: the tool is there, and the node's allow-list has nothing against the configuration. */
const status = (call: Call): void => {
  const { sysctls, attributes } = parseTuningConfig(call);
  if (isAsked(attributes) && toolPath('ip') === undefined) {
    throw new CniError(ErrorCode.notAvailable, 'the "ip" command is missing', {
      details: 'Install iproute2.',
    });
  }
  try {
    requireAllowed(sysctls.map(({ key }) => key));
  } catch (error) {
    const { message, details } = toCniError(error);
    throw new CniError(ErrorCode.notAvailable, message, { details, cause: error });
  }
};

interface Settings {
  /** What is there before this ADD. */
  present: Originals;
  sysctls: { name: string; value: string }[];
}

/** What is to be set, by the names it has here, and what is there now; undefined when nothing is asked for. */
const readSettings = (call: Call, config: TuningConfig, netns: Netns): Settings | undefined => {
  const { sysctls, attributes } = config;
  if (sysctls.length === 0 && !isAsked(attributes)) return undefined;
  const link = readLink(call.env.ifname);
  const present = sysctls.map((sysctl) => ({ sysctl, original: readOriginalSysctl(sysctl) }));
  return {
    present: {
      ...(isAsked(attributes) ? originalsOf(requireLink(call.env.ifname), attributes) : {}),
      ...(present.length === 0
        ? {}
        : { sysctl: Object.fromEntries(present.map(({ original }) => original)) }),
      podwire: { ...ownerOf(call), netns: netns.inode, link: link?.index ?? 0, peer: link?.peerIndex ?? 0 },
    },
    sysctls: present.map(({ sysctl, original: [name] }) => ({ name, value: sysctl.value })),
  };
};

/** Before anything is set, so that a kill in between loses nothing. */
const keep = (call: Call, { dataDir }: TuningConfig, present: Originals, undo: Undo): void => {
  const owner = ownerOf(call);
  const originals = { ...present };
  if (present.sysctl !== undefined) {
    const older = originalsOfOthers(dataDir, owner, present.podwire?.netns ?? 0);
    const entries = Object.entries(present.sysctl);
    originals.sysctl = Object.fromEntries(entries.map(([name, value]) => [name, older[name] ?? value]));
  }
  const before = readOriginals(dataDir, owner);
  undo.add('forget the original settings', () =>
    before === undefined ? removeOriginals(dataDir, owner) : saveOriginals(dataDir, owner, before),
  );
  saveOriginals(dataDir, owner, mergeOriginals(before, originals));
};

/** Without the sysctls that another interface of the container was attached with, too: the last puts them back. */
const withoutOthers = (dataDir: string, owner: Owner, originals: Originals, netns: Netns): Originals => {
  if (originals.sysctl === undefined) return originals;
  const kept = originalsOfOthers(dataDir, owner, netns.inode);
  const entries = Object.entries(originals.sysctl).filter(([name]) => kept[name] === undefined);
  return { ...originals, sysctl: Object.fromEntries(entries) };
};

/** Tries all of them; throws the first failure. An interface that is gone has nothing to be put back. */
const restore = (ifname: string, { sysctl = {}, ...originals }: Originals): void => {
  const attempts = Object.entries(sysctl).map(([name, value]) => () => {
    // An empty one was never read.
    if (value !== '') writeSysctl(name, value);
  });
  const failures = [...attempts, () => restoreAttributes(ifname, originals)].flatMap((attempt) => {
    try {
      attempt();
      return [];
    } catch (error) {
      return [error];
    }
  });
  if (failures.length > 0) throw failures[0];
};

/** In one go, or where that fails, as many of them as can be. */
const restoreAttributes = (ifname: string, originals: Attributes): void => {
  if (readLink(ifname) === undefined) return;
  const { mac, mtu, promisc, allmulti, txQLen } = originals;
  try {
    applyAttributes(ifname, originals);
  } catch (error) {
    // A tool that was killed is no reason to keep the originals, if all of them are back in the end.
    let allBack = true;
    for (const single of [{ mtu }, { mac }, { promisc }, { allmulti }, { txQLen }]) {
      try {
        applyAttributes(ifname, single);
      } catch {
        allBack = false;
      }
    }
    if (!allBack) throw error;
  }
};

const updated = ({ env, config }: Call, prevResult: Result, { mac, mtu }: Attributes): Result => {
  const reported = mtu !== undefined && isAtLeast(config.cniVersion, '1.1.0') ? { mtu } : {};
  const changes = { ...(mac === undefined ? {} : { mac }), ...reported };
  // Some plugins leave the sandbox out; with it, an interface of the host may have the same name.
  const named = prevResult.interfaces.filter(({ name }) => name === env.ifname);
  const inside = named.filter(({ sandbox }) => sandbox !== undefined);
  const ours = inside.length > 0 ? inside : named;
  return {
    ...prevResult,
    interfaces: prevResult.interfaces.map((entry) =>
      ours.includes(entry) ? { ...entry, ...changes } : entry,
    ),
  };
};

const isAsked = (attributes: Attributes): boolean =>
  Object.values(attributes).some((value) => value !== undefined);

/** Sets sysctls and attributes of a container's interface, as the reference plugin of the same name. */
export const plugin: Plugin = { title: 'tuning', knownArgs: conventionalArgs, add, del, check, gc, status };
