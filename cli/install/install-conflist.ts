import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import {
  type Conflist,
  type ConflistState,
  conflistState,
  hashText,
  removeConflist,
  writeConflist,
} from './conflist.ts';
import { saveFile } from './files-of-others.ts';
import type { HostPaths } from './host-paths.ts';
import { type Manifest, writeManifest } from './manifest.ts';

export interface ConflistPlan {
  path: string;
  state: ConflistState;
  conflist: Conflist;
}

/** Looks, and refuses: CniError 103 for a file of others under that name, unless it may be put aside. */
export const planConflist = (
  paths: HostPaths,
  conflist: Conflist,
  manifest: Manifest | undefined,
  takeover: boolean,
): ConflistPlan => {
  const path = `${paths.confDir}/${conflist.file}`;
  const state = conflistState(paths, path, conflist.text, manifest?.conflist);
  if (state === 'foreign' && !takeover) {
    throw new CniError(
      ErrorCode.conflict,
      `${path} is there already and is not, or no more, as podwire installed it`,
      {
        details:
          '--takeover puts it aside, and "podwire uninstall" puts it back; or give the file another name.',
      },
    );
  }
  return { path, state, conflist };
};

/**
 * Carries the plan out, and returns the manifest that tells of it. The executables are there by now: a runtime
 * uses the network as soon as it sees the file. Throws CniError 5.
 */
export const installConflist = (paths: HostPaths, manifest: Manifest, plan: ConflistPlan): Manifest => {
  const { path, state, conflist } = plan;
  if (state === 'same') return manifest;
  const replaced = manifest.conflist;
  const as = `conf-${conflist.file}`;
  const known = manifest.saved.some((entry) => entry.path === path);
  const saves = state === 'foreign' && !known;
  const saved = saves ? [...manifest.saved, { path, as, what: 'file' }] : manifest.saved;
  // Before it is written: a file that is not yet there is removed without harm.
  const next: Manifest = { ...manifest, saved, conflist: { path, sha256: hashText(conflist.text) } };
  writeManifest(paths, next);
  if (state === 'foreign') saveFile(paths, { path, as, what: 'file' });
  writeConflist(paths, path, conflist.text);
  if (replaced !== undefined && replaced.path !== path) {
    if (conflistState(paths, replaced.path, undefined, replaced) === 'ours')
      removeConflist(paths, replaced.path);
  }
  return next;
};
