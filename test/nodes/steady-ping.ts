import { waitUntil } from '../support/wait-until.ts';
import type { LabPod } from './lab/node.ts';

/** A ping that goes on while something else happens. */
export interface SteadyPing {
  /** Waits until so many more answers have come. */
  answers(count: number): Promise<void>;
  /** Ends it and returns the numbers of the echo requests that were lost between answered ones. */
  lost(): Promise<number[]>;
}

/** Pings every 10 ms from a pod; a request is lost when a later one is answered and it is not. */
export const startPing = async (from: LabPod, address: string): Promise<SteadyPing> => {
  const file = `${from.name}-${address.replaceAll(/[^0-9a-f]/g, '-')}.ping`;
  const log = `/run/${file}`;
  // A thousandth of a second of load on the machine is no loss: requests have ten seconds to be answered.
  const running = from.pod.start(['sh', '-c', `exec ping -n -i 0.01 -W 10 ${address} >${log}`], {
    timeout: 120_000,
  });
  const answered = async (): Promise<number[]> => {
    const { stdout } = await from.pod.attempt([
      'sed',
      '-n',
      's/.*icmp_seq=\\([0-9]*\\) .*time=.*/\\1/p',
      log,
    ]);
    return stdout
      .split('\n')
      .filter((line) => line !== '')
      .map(Number);
  };
  const answers = async (count: number): Promise<void> => {
    const wanted = (await answered()).length + count;
    await waitUntil(`ping has ${wanted} answers`, async () => (await answered()).length >= wanted);
  };
  await answers(5);
  return {
    answers,
    lost: async () => {
      running.kill('SIGINT');
      await running.outcome;
      const numbers = new Set(await answered());
      const last = Math.max(...numbers);
      return Array.from({ length: last }, (_, index) => index + 1).filter((number) => !numbers.has(number));
    },
  };
};
