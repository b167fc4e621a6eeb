import type { Place } from './pod.ts';
import { programPath } from './process.ts';
import { waitUntil } from './wait-until.ts';

export interface Transfer {
  /** The address of the server. */
  address: string;
  /** 5201 unless given; transfers at once need one each. */
  port?: number;
  seconds?: number;
}

/**
 * Bits per second that `to` gets from `from` by one TCP connection, payload only, over some seconds. The
 * first second does not count: a burst goes out in it. Uses iperf3.
 */
export const throughput = async (
  from: Place,
  to: Place,
  { address, port = 5201, seconds = 3 }: Transfer,
): Promise<number> => {
  const iperf = programPath('iperf3');
  const server = to.start([iperf, '-s', '-1', '-p', String(port)], { timeout: 60_000 });
  await waitUntil(
    `port ${port} is open`,
    async () => (await to.exec(['ss', '-Hltn', `sport = :${port}`])) !== '',
  );
  const client = ['-c', address, '-p', String(port), '-t', String(seconds), '-O', '1', '-J'];
  const { exitCode, stdout } = await from.attempt([iperf, ...client], { timeout: 60_000 });
  server.kill();
  await server.outcome;
  const report = JSON.parse(stdout) as Report;
  if (exitCode !== 0 || report.end.sum_received === undefined) throw new Error(`iperf3: ${report.error}`);
  return report.end.sum_received.bits_per_second;
};

interface Report {
  error?: string;
  end: { sum_received?: { bits_per_second: number } };
}
