// The proof of cluster-wide IPAM at full size; `scripts/soak-ipam --help` tells the options.
import { Command, InvalidArgumentError } from 'commander';
import { lackingEtcd } from '../../support/etcd.ts';
import { lackingApiServer } from '../../support/kubernetes/kube-apiserver.ts';
import { type Contention, contend } from './contend.ts';
import { describeCourse } from './describe.ts';
import { onEtcd, onKubernetes } from './grounds.ts';

const count = (value: string): number => {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 0) throw new InvalidArgumentError('a whole number is wanted');
  return number;
};

const { datastore, ...contention } = new Command('scripts/soak-ipam')
  .description(
    'Nodes take addresses out of one pool at once while their processes and the datastore are killed; no address may be given twice or lost.',
  )
  .option('--datastore <kind>', 'etcd, or kubernetes where KUBEBUILDER_ASSETS has an API server', 'etcd')
  .option('--nodes <n>', 'nodes', count, 200)
  .option('--addresses <n>', 'addresses in use in the end', count, 20_000)
  .option('--block-size <n>', 'prefix length of a block', count, 27)
  .option('--processes <n>', 'processes that the nodes are in', count, 8)
  .option('--wanderers <n>', 'pods with a sticky address that wander', count, 100)
  .option('--kills <n>', 'how often a process is killed from outside', count, 60)
  .option('--restarts <n>', 'how often the datastore is killed', count, 6)
  .option('--patience <s>', 'how long to go on trying for one pod, seconds', count, 180)
  .option('--seed <n>', 'of everything that is random', count, Math.floor(Math.random() * 1e9))
  .parse()
  .opts<Contention & { datastore: string }>();

const lacking = datastore === 'kubernetes' ? lackingApiServer() : lackingEtcd();
if (lacking !== undefined) {
  console.error(`soak-ipam: ${lacking}`);
  process.exit(2);
}
console.error(`soak-ipam: seed ${contention.seed}`);
const on = datastore === 'kubernetes' ? onKubernetes : onEtcd;
try {
  console.log(describeCourse(contention, await on((ground) => contend(ground, contention))));
  process.exit(0);
} catch (error) {
  console.error(
    `soak-ipam: FAILED with --seed ${contention.seed}: ${error instanceof Error ? error.message : error}`,
  );
  process.exit(1);
}
