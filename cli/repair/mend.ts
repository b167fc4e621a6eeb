import { toCniError } from '../../shared/cni/errors.ts';
import { tableCommands } from '../../shared/filter/nft-plan.ts';
import { isPlainWord } from '../../shared/kernel/batch.ts';
import { runCommand } from '../../shared/kernel/command.ts';
import { iptablesFailure, startIptablesTransaction } from '../../shared/kernel/iptables.ts';
import { classifyNftFailure, nftError, startNft } from '../../shared/kernel/nft.ts';
import type { NftSocket } from '../../shared/kernel/nft-socket.ts';
import type { Lack, Mend } from './lack.ts';

/** What stood in the way, by the lack that was to be mended. */
type Failures = Map<Lack, string>;

/**
 * Mends what it can, with few children for all of it, and returns what failed. A success is no proof:
 * the caller looks at the host again. Throws nothing.
 */
export const mendAll = async (socket: NftSocket, lacks: readonly Lack[]): Promise<Failures> => {
  const failures: Failures = new Map();
  const of = <K extends Mend['by']>(by: K): LackBy<K>[] =>
    lacks.filter((lack): lack is LackBy<K> => lack.mend.by === by);
  for (const lack of of('call')) await attempt([lack], failures, async () => lack.mend.run());
  for (const tool of ['ip', 'bridge', 'tc'] as const) {
    const ofTool = of('batch').filter(({ mend }) => mend.tool === tool);
    await attempt(ofTool, failures, async () => runLines(tool, ofTool, failures));
  }
  const nft = of('nft');
  const frames = Map.groupBy(
    nft.filter(({ mend }) => mend.frame !== undefined),
    ({ mend }) => `${mend.frame?.family} ${mend.frame?.name}`,
  );
  for (const ofTable of frames.values()) await transact(socket, ofTable, failures);
  const elements = nft.filter(({ mend }) => mend.frame === undefined);
  if (elements.length > 0) await transact(socket, elements, failures);
  const places = Map.groupBy(of('iptables'), ({ mend }) => `${mend.family} ${mend.variant} ${mend.table}`);
  for (const ofPlace of places.values()) {
    await attempt(ofPlace, failures, () => restore(socket, ofPlace, failures));
  }
  return failures;
};

type LackBy<K extends Mend['by']> = Lack & { mend: Extract<Mend, { by: K }> };

const attempt = async (
  lacks: readonly Lack[],
  failures: Failures,
  body: () => Promise<void>,
): Promise<void> => {
  try {
    if (lacks.length > 0) await body();
  } catch (error) {
    note(lacks, failures, toCniError(error).message);
  }
};

const note = (lacks: readonly Lack[], failures: Failures, message: string): void => {
  for (const lack of lacks) failures.set(lack, message);
};

/** `-force` goes on after a line that failed, and says which one that was. */
const runLines = (tool: string, lacks: readonly LackBy<'batch'>[], failures: Failures): void => {
  const lines = lacks.flatMap((lack) => lack.mend.lines.map((line) => ({ line, lack })));
  for (const { line } of lines) {
    if (!line.split(' ').every(isPlainWord)) throw new Error(`not a line for ${tool}: ${line}`);
  }
  const stdin = lines.map(({ line }) => `${line}\n`).join('');
  const { exitCode, stderr } = runCommand(tool, ['-force', '-batch', '-'], { stdin });
  if (exitCode === 0) return;
  const blamed = [...stderr.matchAll(/(.*)\nCommand failed -:(\d+)/g)];
  for (const [, message = '', number] of blamed) {
    const lack = lines[Number(number) - 1]?.lack;
    if (lack !== undefined) failures.set(lack, `${tool}: ${message}`);
  }
  if (blamed.length === 0) note(lacks, failures, `${tool}: ${stderr.trim()}`);
};

/**
 * One transaction for all; when the kernel refuses one part, the halves apart, so that one attachment's
 * trouble is not everybody's. What failed because others changed the same is left to the next look.
 */
const transact = async (
  socket: NftSocket,
  lacks: readonly LackBy<'nft'>[],
  failures: Failures,
): Promise<void> =>
  attempt(lacks, failures, async () => {
    const frame = lacks.flatMap(({ mend }) => (mend.frame === undefined ? [] : tableCommands(mend.frame)));
    const commands = [...new Set(frame), ...lacks.flatMap(({ mend }) => mend.commands)];
    const result = await startNft(socket, commands).result();
    if (result.exitCode === 0) return;
    const kind = classifyNftFailure(result.stderr);
    if (lacks.length === 1 || kind === 'unsupported' || kind === 'busy') {
      return note(lacks, failures, nftError(result, 'nftables').message);
    }
    const middle = Math.ceil(lacks.length / 2);
    for (const half of [lacks.slice(0, middle), lacks.slice(middle)]) await transact(socket, half, failures);
  });

const restore = async (
  socket: NftSocket,
  lacks: readonly LackBy<'iptables'>[],
  failures: Failures,
): Promise<void> => {
  const [first] = lacks;
  if (first === undefined) return;
  const { family, variant, table } = first.mend;
  const commands = lacks.flatMap(({ mend }) => mend.commands);
  const result = await startIptablesTransaction(socket, family, variant, table, commands).result();
  if (result.exitCode === 0) return;
  note(lacks, failures, iptablesFailure(family, variant, result, `the ${table} table`).message);
};
