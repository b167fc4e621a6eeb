import { waitForQuiet } from './quiet.ts';

/** What one life of a node in a cluster took; milliseconds. */
export interface SyncTimes {
  /** Into an empty kernel, in a new process. */
  first: number;
  /** All compared with the kernel, and nothing to do. */
  unchanged: number[];
  /** From a registry's text in which one of all nodes has changed to the kernel. */
  changed: number[];
}

/** The times of several lives, put together. */
export interface SyncSamples {
  peers: number;
  first: number[];
  unchanged: number[];
  changed: number[];
}

/** Measures syncs with that many dual-stack peers, `lives` times in a process and on a host of its own each. */
export const measureSyncs = async (peers: number, lives: number): Promise<SyncSamples> => {
  const samples: SyncSamples = { peers, first: [], unchanged: [], changed: [] };
  for (let life = 0; life < lives; life += 1) {
    await waitForQuiet();
    const times = await live(peers);
    samples.first.push(times.first);
    samples.unchanged.push(...times.unchanged);
    samples.changed.push(...times.changed);
  }
  return samples;
};

const REPEATS = 10;

const live = async (peers: number): Promise<SyncTimes> => {
  const worker = `${import.meta.dir}/overlay-worker.ts`;
  const child = Bun.spawn({
    cmd: [`${import.meta.dir}/../private-host`, process.execPath, worker, `${peers}`, `${REPEATS}`],
    stdout: 'pipe',
    stderr: 'inherit',
  });
  const text = await child.stdout.text();
  if ((await child.exited) !== 0) throw new Error('the worker failed');
  return JSON.parse(text);
};
