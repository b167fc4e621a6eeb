import type { TestHost } from '../../support/test-host.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { type Frame, readCapture } from './frames.ts';

/** A capture that runs; `stop` ends it and returns its frames. */
export interface Capture {
  /** The capture file, as the host sees it. */
  file: string;
  stop(): Promise<Frame[]>;
}

/** Captures on a device of a host, from when this resolves. Uses tcpdump. */
export const startCapture = async (host: TestHost, device: string, filter = ''): Promise<Capture> => {
  const file = `/run/${device}.pcap`;
  const log = `/run/${device}.tcpdump`;
  const command = `exec tcpdump -Z root -i ${device} -p -U -s 0 --immediate-mode -w ${file} '${filter}' 2>${log}`;
  const running = host.start(['sh', '-c', command], { timeout: 120_000 });
  await waitUntil(
    `tcpdump listens on ${device}`,
    async () => (await host.attempt(['grep', '-q', 'listening on', log])).exitCode === 0,
  );
  return {
    file,
    stop: async () => {
      running.kill('SIGINT');
      await running.outcome;
      const said = await host.exec(['cat', log]);
      if (!/\n0 packets dropped by kernel/.test(said)) throw new Error(`tcpdump lost packets: ${said}`);
      return readCapture(host.path(file));
    },
  };
};
