import { Counter, Gauge, type Registry } from 'prom-client';
import { type Datastore, hasProblem } from '../../shared/store/datastore/datastore.ts';
import type { PoolUse } from './upkeep.ts';

/** What the agent counts of cluster-ipam on its node. */
export interface IpamMetrics {
  /** As it was last looked at. */
  use: readonly PoolUse[];
  claims: Counter;
  returned: Counter;
  reclaimed: Counter<'kind'>;
  conflicts: Counter;
  failures: Counter;
}

export const createIpamMetrics = (registry: Registry): IpamMetrics => {
  const registers = [registry];
  const counter = (name: string, help: string) => new Counter({ name, help, registers });
  const metrics: IpamMetrics = {
    use: [],
    claims: counter(
      'podwire_ipam_claims_total',
      'Blocks that this node claimed, by plugin calls or by the agent.',
    ),
    returned: counter('podwire_ipam_returned_total', 'Empty blocks that the agent returned.'),
    reclaimed: new Counter({
      name: 'podwire_ipam_reclaimed_total',
      help: 'Blocks and addresses of nodes that are gone, taken back by this agent.',
      labelNames: ['kind'],
      registers,
    }),
    conflicts: counter(
      'podwire_ipam_conflicts_total',
      'Writes of this agent that came to nothing because another node was faster.',
    ),
    failures: counter('podwire_ipam_failures_total', 'Rounds of upkeep that failed.'),
  };
  for (const kind of ['block', 'address']) metrics.reclaimed.inc({ kind }, 0);
  const gauge = (name: string, help: string, read: (use: PoolUse) => number): void => {
    new Gauge({
      name,
      help,
      labelNames: ['pool'],
      registers,
      collect() {
        this.reset();
        for (const use of metrics.use) this.set({ pool: use.pool }, read(use));
      },
    });
  };
  gauge('podwire_ipam_blocks', 'Blocks that this node has.', ({ blocks }) => blocks);
  gauge('podwire_ipam_addresses_in_use', "Addresses of this node's blocks in use.", ({ inUse }) => inUse);
  gauge(
    'podwire_ipam_addresses_free',
    "Addresses of this node's blocks that can be given.",
    ({ free }) => free,
  );
  return metrics;
};

/** The same datastore; `onConflict` is called for each write that another was faster with. */
export const countingConflicts = (datastore: Datastore, onConflict: () => void): Datastore => {
  const counted = async <T>(call: Promise<T>): Promise<T> => {
    try {
      return await call;
    } catch (error) {
      if (hasProblem(error, 'exists', 'conflict')) onConflict();
      throw error;
    }
  };
  return {
    kind: datastore.kind,
    get: (...args) => datastore.get(...args),
    list: (...args) => datastore.list(...args),
    create: (...args) => counted(datastore.create(...args)),
    replace: (...args) => counted(datastore.replace(...args)),
    remove: (...args) => counted(datastore.remove(...args)),
    watch: (...args) => datastore.watch(...args),
    close: () => datastore.close(),
  };
};
