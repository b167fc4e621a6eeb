import { CniError, ErrorCode } from '../cni/errors.ts';
import { type CommandResult, commandFailure } from './command.ts';
import type { NftSocket } from './nft-socket.ts';
import { type RunningCommand, startCommand } from './running-command.ts';

/**
 * Starts one nft transaction in the netns of the calling thread: all of the commands take effect, or
 * none. Its end is no measure: after a deletion, whoever's, the kernel makes the closing of nft's socket
 * wait some 12 ms. So pass `settled` a look at the kernel, through the same socket. Throws CniError 100
 * when nft is not installed.
 */
export const startNft = (socket: NftSocket, commands: readonly string[]): RunningCommand =>
  startCommand('nft', NFT_ARGS, { stdin: `${commands.join('\n')}\n`, inherit: socket.fd });

/** Why a transaction failed, as far as a caller can do something about it. */
export type NftFailure = 'missing' | 'exists' | 'busy' | 'unsupported' | 'other';

/**
 * Tells it from the messages: nft has its own for what it looks up before it asks the kernel, and the C
 * library's text (LC_ALL=C) for the kernel's errors. `missing` is ENOENT, `exists` EEXIST, `busy` EBUSY, or no
 * message at all.
 */
export const classifyNftFailure = (stderr: string): NftFailure => {
  if (/No such file or directory/.test(stderr)) return 'missing';
  if (/File exists/.test(stderr)) return 'exists';
  if (/Device or resource busy/.test(stderr)) return 'busy';
  // With hundreds of transactions at once nft gives up reading the tables, and says nothing about it.
  if (stderr.trim() === '') return 'busy';
  if (/not supported/i.test(stderr)) return 'unsupported';
  return 'other';
};

/** The error for a transaction that failed for good; `context` says what was attempted. */
export const nftError = (result: CommandResult, context: string): CniError => {
  if (classifyNftFailure(result.stderr) !== 'unsupported') {
    return commandFailure('nft', NFT_ARGS, result, context);
  }
  return new CniError(ErrorCode.unsupportedByKernel, `${context}: the kernel lacks a part of nftables`, {
    details: `nft said: ${result.stderr.trim()}`,
  });
};

const NFT_ARGS = ['-f', '-'];
