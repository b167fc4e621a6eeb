import { CniError, ErrorCode } from '../cni/errors.ts';

/**
 * The directories in which tools are looked for, joined by colons: the absolute ones of our PATH, then
 * the usual ones, because a runtime started by systemd or by hand may lack the sbin directories.
 */
export const searchPath = (): string => {
  const own = (process.env.PATH ?? '').split(':').filter((directory) => directory.startsWith('/'));
  return [...new Set([...own, ...USUAL_DIRECTORIES])].join(':');
};

/** The absolute path of an executable tool, undefined when there is none. */
export const toolPath = (tool: string): string | undefined =>
  Bun.which(tool, { PATH: searchPath() }) ?? undefined;

/** As `toolPath`, but a missing tool is a CniError 100 that says what to install. */
export const requireTool = (tool: string): string => {
  const path = toolPath(tool);
  if (path !== undefined) return path;
  throw new CniError(ErrorCode.commandFailed, `${tool}: not found; install ${packageOf(tool)}`, {
    details: `Looked for an executable file of that name in ${searchPath()}.`,
  });
};

const USUAL_DIRECTORIES = ['/usr/sbin', '/sbin', '/usr/bin', '/bin', '/usr/local/sbin', '/usr/local/bin'];

/** The package's name on Debian, Fedora and Alpine alike. */
const packageOf = (tool: string): string => {
  if (tool === 'ip' || tool === 'bridge' || tool === 'tc') return 'iproute2';
  if (tool === 'nft') return 'nftables';
  if (/^ip6?tables/.test(tool)) return 'iptables';
  return tool;
};
