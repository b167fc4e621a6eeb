import { Batch, batchFailure, startBatchTool } from './batch.ts';

/** Lines for iproute2's `bridge -batch -`: VLANs of bridge ports, FDB entries. */
export class BridgeBatch extends Batch {
  constructor() {
    super('bridge');
  }
}

/**
 * Carries out a batch in the netns of the calling thread and returns what the tool printed; an empty one
 * starts no process. Throws CniError 100 with the line that failed; the lines before it stay in force.
 * `context` says what was attempted.
 */
export const runBridgeBatch = (batch: BridgeBatch, context: string): string =>
  batch.size === 0 ? '' : startBatchTool<BridgeBatch>('bridge', batchFailure).run(batch, context);
