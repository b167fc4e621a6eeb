import { Batch, batchFailure, startBatchTool, type WaitingTool } from './batch.ts';

/** Lines for `ip -batch -`. */
export class IpBatch extends Batch {
  constructor() {
    super('ip');
  }
}

export type WaitingIp = WaitingTool<IpBatch>;

/** Starts an `ip` that waits for its batch. Throws CniError 100 when there is none. */
export const startIp = (): WaitingIp => startBatchTool('ip', batchFailure);

/** Carries out a batch at once, as `WaitingIp.run`; an empty one starts no process. */
export const runIpBatch = (batch: IpBatch, context: string): string =>
  batch.size === 0 ? '' : startIp().run(batch, context);
