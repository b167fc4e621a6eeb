import { cpus, release, totalmem } from 'node:os';

/** The machine and the programs that were measured, as one paragraph. */
export const describeMachine = (bins: { ours: string; reference: string }): string => {
  const processors = cpus();
  const gibibytes = Math.round(totalmem() / 2 ** 30);
  const machine = `${processors.length} cores (${processors[0]?.model.trim() || process.arch}), ${gibibytes} GiB`;
  const tools = [
    firstLine(['ip', '-V']),
    firstLine(['nft', '--version']),
    firstLine(['iptables', '--version']),
  ];
  return [
    `${machine}, Linux ${release()}, bun ${Bun.version}.`,
    `Ours: ${identify(bins.ours)}. Reference: ${identify(bins.reference)}. ${tools.join(', ')}.`,
  ].join(' ');
};

// biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own syntax
const versionField = '${Version}';

// A package's version where a package has it, else what the plugin says of itself when called without a command.
const identify = (bin: string): string => {
  const [owner] = output(['dpkg', '-S', `${bin}/bridge`]).split(':');
  if (owner) return `${owner} ${output(['dpkg-query', '-W', '--showformat', versionField, owner])}`;
  return firstLine([`${bin}/bridge`]);
};

const firstLine = (command: string[]): string =>
  output(command).split('\n')[0]?.trim() || `${command[0]} (unknown)`;

// Both streams: plugins tell about themselves on stderr.
const output = (command: string[]): string => {
  try {
    const { stdout, stderr, exitCode } = Bun.spawnSync({ cmd: command, stdout: 'pipe', stderr: 'pipe' });
    return exitCode === 0 ? `${stdout}${stderr}` : '';
  } catch {
    return '';
  }
};
