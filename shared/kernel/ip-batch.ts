import { Batch, batchFailure, startBatchTool, type WaitingTool } from './batch.ts';

/** Lines for `ip -batch -`. */
export class IpBatch extends Batch {
  constructor() {
    super('ip');
  }
}

export type WaitingIp = WaitingTool<IpBatch>;

/**
 * Starts an `ip` that waits for its batch. Most lines tell their family by their addresses; `ip rule` is for
 * IPv4 unless `family` says otherwise. Throws CniError 100 when there is no `ip`.
 */
export const startIp = (family?: 4 | 6): WaitingIp =>
  startBatchTool('ip', batchFailure, family === undefined ? [] : [`-${family}`]);

/** Carries out a batch at once, as `WaitingIp.run`; an empty one starts no process. */
export const runIpBatch = (batch: IpBatch, context: string, family?: 4 | 6): string =>
  batch.size === 0 ? '' : startIp(family).run(batch, context);
