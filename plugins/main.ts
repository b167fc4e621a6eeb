import { runPlugin } from '../shared/cni/dispatch.ts';
import { findPlugin } from './registry.ts';

/**
 * The entry of the one executable: the name it was called by selects the plugin; any other name,
 * `podwire` among them, is the operator's command, which alone is imported when it is wanted: a plugin
 * call pays for every import (see "Speed" in the README).
 */
const run = async (): Promise<number> => {
  const name = process.argv0.slice(process.argv0.lastIndexOf('/') + 1);
  const plugin = findPlugin(name);
  if (plugin !== undefined) return runPlugin(plugin, findPlugin);
  // The build raises the thresholds of the JIT compiler, which a call of some ms does not live to profit from.
  Bun.unsafe.setJITPolicy(1);
  const { runCli } = await import('../cli/podwire.ts');
  return runCli(Bun.argv.slice(2));
};

try {
  process.exit(await run());
} catch (error) {
  // Both callees report their own errors; this is for what neither foresaw, without a stack trace.
  await Bun.write(Bun.stderr, `podwire: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
