import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { buildId, version } from '../../shared/cni/about.ts';
import { buildMark } from '../../shared/cni/build-mark.ts';
import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { commandName, pluginNames } from '../../shared/cni/plugin-names.ts';
import { ioFailure } from '../../shared/store/io-failure.ts';
import type { Conflist } from './conflist.ts';
import { withDirectoryLock } from './directory-lock.ts';
import { hashFile, removeIfEmpty } from './durable-files.ts';
import { forgetSaved, saveFile } from './files-of-others.ts';
import { type HostPaths, onHost } from './host-paths.ts';
import { type Build, Identifier, type Identity } from './identify.ts';
import { type ConflistPlan, installConflist, planConflist } from './install-conflist.ts';
import { type Manifest, readManifest, writeManifest } from './manifest.ts';
import { isPlaced, ownExecutable, placeExecutable } from './place.ts';
import { type InstallPlan, type InstallWish, planInstall } from './plan-install.ts';
import { takeBackFiles } from './take-back.ts';
import { compareVersions } from './version-order.ts';

export interface InstallRequest extends Omit<InstallWish, 'binDir'> {
  paths: HostPaths;
  conflist?: Conflist | undefined;
}

export interface InstallReport {
  action: 'installed' | 'upgraded' | 'downgraded' | 'replaced' | 'unchanged';
  from?: Build;
  to: Build;
  binDir: string;
  names: string[];
  /** Files of others that were put aside by this call. */
  putAside: string[];
  conflist?: string;
  warnings: string[];
}

/**
 * Puts this executable under its names into the node's directory. Running pods keep what they have: nothing but
 * files is touched, and each by rename(2). A call that was killed is made good by the next one; one that fails puts
 * back what it changed where nothing of ours was there before. Throws CniError: 103 when something is in the way,
 * 7 for what can't be asked for, 5 when a file can't be written.
 */
export const install = async (request: InstallRequest): Promise<InstallReport> => {
  if (buildMark === '') {
    throw new CniError(ErrorCode.invalidNetworkConfig, 'only a compiled podwire can install itself', {
      details: 'Build it with scripts/build, and call dist/bin/podwire install.',
    });
  }
  const { paths } = request;
  const made = makeDirectory(paths, paths.binDir);
  try {
    return await withDirectoryLock(onHost(paths, paths.binDir), async () => installLocked(request, made));
  } catch (error) {
    for (const path of made.toReversed()) removeIfEmpty(onHost(paths, path));
    throw error;
  }
};

const installLocked = (request: InstallRequest, made: string[]): InstallReport => {
  const { paths } = request;
  const manifest = readManifest(paths);
  const present = look(onHost(paths, paths.binDir));
  const wish = { ...request, binDir: paths.binDir };
  const plan = planInstall(wish, { manifest, present, own: { version, buildId } });
  const conflist = request.conflist && planConflist(paths, request.conflist, manifest, request.takeover);
  const sha256 = hashFile(ownExecutable);
  const report = describe(paths, plan, conflist);
  if (isComplete(paths, { manifest, plan, conflist, present, sha256 })) {
    return { ...report, action: 'unchanged' };
  }
  const next = nextManifest(paths, { manifest, plan, sha256, made });
  carryOut(paths, { manifest, plan, conflist, next });
  return report;
};

/** What stands under each name that an executable of ours may have. */
export const look = (directory: string): Map<string, Identity> => {
  const identifier = new Identifier();
  const names = [commandName, ...pluginNames];
  return new Map(names.map((name) => [name, identifier.identify(`${directory}/${name}`)]));
};

const describe = (
  paths: HostPaths,
  { names, foreign, from }: InstallPlan,
  conflist: ConflistPlan | undefined,
): InstallReport => {
  const { binDir } = paths;
  const order = from === undefined ? 0 : compareVersions(version, from.version);
  const isThere = (type: string): boolean =>
    names.includes(type) || existsSync(onHost(paths, `${binDir}/${type}`));
  return {
    action: from === undefined ? 'installed' : order > 0 ? 'upgraded' : order < 0 ? 'downgraded' : 'replaced',
    ...(from && { from }),
    to: { version, buildId },
    binDir,
    names,
    putAside: foreign.map(({ name }) => `${binDir}/${name}`),
    ...(conflist && { conflist: conflist.path }),
    warnings: (conflist?.conflist.types ?? [])
      .filter((type) => !isThere(type))
      .map((type) => `the network configuration calls "${type}", which is not in ${binDir}`),
  };
};

interface Known {
  manifest: Manifest | undefined;
  plan: InstallPlan;
  conflist: ConflistPlan | undefined;
}

/** Nothing is to be done; the executable was read whole to see it, so that it is in the page cache. */
const isComplete = (
  paths: HostPaths,
  { manifest, plan, conflist, present, sha256 }: Known & { present: Map<string, Identity>; sha256: string },
): boolean => {
  if (manifest?.state !== 'installed' || manifest.podwire.sha256 !== sha256) return false;
  if (conflist !== undefined && conflist.state !== 'same') return false;
  if (plan.everything !== manifest.everything || plan.names.some((name) => !manifest.names.includes(name)))
    return false;
  const inodes = new Set(
    plan.names.map((name) => {
      const identity = present.get(name);
      return identity?.kind === 'ours' ? identity.inode : undefined;
    }),
  );
  return inodes.size === 1 && isPlaced(`${onHost(paths, paths.binDir)}/${commandName}`, sha256);
};

const nextManifest = (
  { binDir }: HostPaths,
  { manifest, plan, sha256, made }: Omit<Known, 'conflist'> & { sha256: string; made: string[] },
): Manifest => {
  const aside = plan.foreign.map(({ name, what }) => ({ path: `${binDir}/${name}`, as: name, what }));
  // One that came since the last time, such as by a package's upgrade, is what is to be there after us.
  const earlier = (manifest?.saved ?? []).filter(({ as }) => aside.every((entry) => entry.as !== as));
  return {
    version: 1,
    state: 'changing',
    podwire: { version, buildId, sha256 },
    binDir,
    names: plan.names,
    everything: plan.everything,
    saved: [...earlier, ...aside],
    made: [...(manifest?.made ?? []), ...made],
    ...(manifest?.conflist && { conflist: manifest.conflist }),
  };
};

const carryOut = (paths: HostPaths, { manifest, plan, conflist, next }: Known & { next: Manifest }): void => {
  const directory = onHost(paths, paths.binDir);
  let hasReplaced = false;
  try {
    writeManifest(paths, next);
    for (const entry of next.saved) {
      if (plan.foreign.some(({ name }) => entry.as === name)) saveFile(paths, entry);
    }
    placeExecutable(directory, plan.names, next.podwire.sha256, () => {
      hasReplaced = true;
    });
    const last = conflist === undefined ? next : installConflist(paths, next, conflist);
    writeManifest(paths, { ...last, state: 'installed' });
  } catch (error) {
    undo(paths, { manifest, next, hasReplaced });
    throw error;
  }
};

/**
 * The disk was full, most likely. Where nothing of ours was there before, all of it goes again. Over an older one of
 * ours, names that are new already stay: either serves running pods, and the next call goes on.
 */
const undo = (
  paths: HostPaths,
  { manifest, next, hasReplaced }: { manifest: Manifest | undefined; next: Manifest; hasReplaced: boolean },
): void => {
  try {
    if (manifest === undefined) {
      takeBackFiles(paths, next, { removed: [], restored: [], left: [] });
    } else if (!hasReplaced) {
      const known = new Set(manifest.saved.map(({ as }) => as));
      for (const entry of next.saved) if (!known.has(entry.as)) forgetSaved(paths, entry);
      writeManifest(paths, manifest);
    }
  } catch {
    // The first error says what is wrong; the manifest, if any, says what there is to take back.
  }
};

/** Makes a directory of the node, and returns those that were missing, the outermost first. Throws CniError 5. */
const makeDirectory = (paths: HostPaths, path: string): string[] => {
  const missing: string[] = [];
  for (let at = path; at !== '/' && !isDirectory(onHost(paths, at)); at = dirname(at)) missing.unshift(at);
  try {
    mkdirSync(onHost(paths, path), { recursive: true, mode: 0o755 });
  } catch (error) {
    throw ioFailure(`make ${path}`, error);
  }
  return missing;
};

const isDirectory = (path: string): boolean =>
  statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
