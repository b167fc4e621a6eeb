import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { commandName, type PluginName, pluginNames } from '../../shared/cni/plugin-names.ts';
import type { Build, Identity } from './identify.ts';
import type { Manifest } from './manifest.ts';
import { compareVersions } from './version-order.ts';

/** What is asked for. */
export interface InstallWish {
  binDir: string;
  /** Only these plugins; undefined: all, or for an upgrade what is installed. */
  plugins: readonly PluginName[] | undefined;
  /** Files of others may be put aside. */
  takeover: boolean;
  /** An older version may take the place of a newer one. */
  force: boolean;
  /** Refused where nothing of ours is installed. */
  isUpgrade: boolean;
}

/** What is there. */
export interface InstallSituation {
  manifest: Manifest | undefined;
  /** What stands under each of our names in the directory. */
  present: ReadonlyMap<string, Identity>;
  /** This executable. */
  own: Build;
}

export interface InstallPlan {
  /** The command's name first. None is taken away by an installation: running pods may need it. */
  names: string[];
  everything: boolean;
  /** Files of others to put aside. */
  foreign: { name: string; what: string }[];
  /** What was installed before. */
  from: Build | undefined;
}

/** Throws CniError 103 that says what is in the way, and 7 for an upgrade without anything to upgrade. */
export const planInstall = (wish: InstallWish, { manifest, present, own }: InstallSituation): InstallPlan => {
  refuseOtherDirectory(wish, manifest);
  const ours = [commandName, ...pluginNames].filter((name) => present.get(name)?.kind === 'ours');
  const builds = ours.map((name) => (present.get(name) as { build: Build }).build);
  const [from] = builds;
  if (wish.isUpgrade && from === undefined) {
    throw new CniError(ErrorCode.invalidNetworkConfig, `podwire is not installed in ${wish.binDir}`, {
      details: 'There is nothing to upgrade: "podwire install" installs.',
    });
  }
  refuseOlder(wish, builds, own);
  const everything = (wish.plugins === undefined && !wish.isUpgrade) || manifest?.everything === true;
  const wanted = new Set<string>([
    commandName,
    ...ours,
    ...(manifest?.names ?? []),
    ...(everything ? pluginNames : (wish.plugins ?? [])),
  ]);
  const names = [commandName, ...pluginNames].filter((name) => wanted.has(name));
  return { names, everything, foreign: refuseForeign(wish, names, present), from };
};

const refuseOtherDirectory = ({ binDir }: InstallWish, manifest: Manifest | undefined): void => {
  if (manifest === undefined || manifest.binDir === binDir) return;
  throw new CniError(ErrorCode.conflict, `podwire is installed in ${manifest.binDir}, not in ${binDir}`, {
    details: `Give --bin-dir ${manifest.binDir}, or "podwire uninstall" first. A node has one installation.`,
  });
};

const refuseOlder = ({ binDir, force }: InstallWish, builds: readonly Build[], own: Build): void => {
  const newer = builds.find(({ version }) => compareVersions(version, own.version) > 0);
  if (newer === undefined || force) return;
  throw new CniError(
    ErrorCode.conflict,
    `${binDir} has podwire ${newer.version} (${newer.buildId}), which is newer than this ${own.version} (${own.buildId})`,
    {
      details:
        'An older podwire may not understand what a newer one recorded of running pods. --force goes back all the same.',
    },
  );
};

const refuseForeign = (
  { binDir, takeover }: InstallWish,
  names: readonly string[],
  present: ReadonlyMap<string, Identity>,
): InstallPlan['foreign'] => {
  const kinds = (kind: Identity['kind']) =>
    names.flatMap((name) => {
      const identity = present.get(name);
      return identity?.kind === kind && 'what' in identity ? [{ name, what: identity.what }] : [];
    });
  const [immovable] = kinds('immovable');
  if (immovable !== undefined) {
    throw new CniError(ErrorCode.conflict, `${binDir}/${immovable.name} is in the way: a ${immovable.what}`, {
      details: 'Only files and symbolic links can be put aside: move it away.',
    });
  }
  const foreign = kinds('foreign');
  if (foreign.length === 0 || takeover) return foreign;
  const list = foreign.map(({ name, what }) => (what === 'file' ? name : `${name} (${what})`)).join(', ');
  throw new CniError(ErrorCode.conflict, `${binDir} has files of others under our names: ${list}`, {
    details:
      '--takeover puts them aside, and "podwire uninstall" puts them back; --plugins installs only some; --bin-dir elsewhere.',
  });
};
