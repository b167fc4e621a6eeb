import { styleFor, writeOut } from '../terminal.ts';
import { readConflist } from './conflist.ts';
import { hostPaths, type InstallFlags } from './flags.ts';
import { install } from './install.ts';
import { readManifest } from './manifest.ts';
import { renderInstall } from './render.ts';

/** What `podwire install` and `podwire upgrade` do. */
export const installByFlags = async (flags: InstallFlags, isUpgrade: boolean): Promise<void> => {
  const { plugins, takeover, force, json } = flags;
  // Where it was installed to is what is meant, unless said otherwise.
  const installed = readManifest(hostPaths(flags))?.binDir;
  const report = await install({
    paths: hostPaths(flags, installed),
    plugins,
    takeover: takeover === true,
    force: force === true,
    isUpgrade,
    conflist: flags.conflist === undefined ? undefined : readConflist(flags.conflist),
  });
  writeOut(json === true ? `${JSON.stringify(report, null, 2)}\n` : renderInstall(report, styleFor(1)));
};
