import { expect, test } from 'vitest';
import { lackingEtcd } from '../support/etcd.ts';
import { lackingApiServer } from '../support/kubernetes/kube-apiserver.ts';
import { skipFor } from '../support/needs.ts';
import { type Contention, contend } from './contention/contend.ts';
import { describeCourse } from './contention/describe.ts';
import { onEtcd, onKubernetes } from './contention/grounds.ts';

// The same at full size, or again by a seed: scripts/soak-ipam.
const cases = [
  {
    datastore: 'etcd',
    lacking: lackingEtcd(),
    on: onEtcd,
    size: { nodes: 40, addresses: 2400, processes: 4, wanderers: 20, kills: 20, restarts: 4 },
  },
  {
    datastore: 'kube-apiserver',
    lacking: lackingApiServer(),
    on: onKubernetes,
    size: { nodes: 20, addresses: 800, processes: 4, wanderers: 10, kills: 10, restarts: 1 },
  },
];

test.for(cases)(
  'many nodes take addresses while they and a real $datastore are killed: none twice, none lost',
  { timeout: 300_000 },
  async ({ lacking, on, size }, context) => {
    skipFor(context, lacking);
    const contention: Contention = {
      ...size,
      blockSize: 28,
      patience: 180,
      seed: Math.floor(Math.random() * 1e9),
    };
    console.log(`seed ${contention.seed}`);
    const course = await on((ground) => contend(ground, contention));
    console.log(describeCourse(contention, course));
    // Else the run has not shown what it is for.
    expect(course.deaths).toBeGreaterThanOrEqual(size.kills / 2);
    expect(course.restarts).toBe(size.restarts);
    expect(course.interrupted).toBeGreaterThan(0);
    expect(course.failed).toBeGreaterThan(0);
    expect(course.moves).toBe(4 * size.wanderers);
    expect(course.returned).toBeGreaterThan(0);
  },
);
