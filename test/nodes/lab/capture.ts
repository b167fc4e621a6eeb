import { existsSync, readFileSync, rmSync } from 'node:fs';
import type { TestContext } from 'vitest';
import { requireRoot, requireTool } from '../../support/needs.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { type Frame, readCapture } from './frames.ts';
import type { Lab } from './lab.ts';

/** A capture that runs; `stop` ends it and returns its frames. */
export interface Capture {
  /** The capture file, as the switch sees it. */
  file: string;
  stop(): Promise<Frame[]>;
}

/** Skips the test, with the reason, where nothing can be captured: tcpdump wants to change its groups. */
export const requireCapture = (context: TestContext): void => {
  requireRoot(context);
  requireTool(context, 'tcpdump');
};

/** The last frame of a capture, so that none before it is left in a buffer. */
const END = 'end of the capture\n';

/**
 * Captures at a node's port of the switch, from when this resolves. The filter must let UDP to port 8472
 * through. Uses tcpdump.
 */
export const startCapture = async (lab: Lab, number: number, filter: string): Promise<Capture> => {
  const host = lab.switch;
  const [device, address] = [`n${number}`, lab.node(number).entry.addresses[0]];
  const [file, log] = [`/run/${device}.pcap`, `/run/${device}.tcpdump`];
  // In immediate mode each frame takes a slot of the snapshot's length: the default buffer of 2 MiB has 8 of them.
  const sizes = '-s 65535 -B 65536';
  const command = `exec tcpdump -Z root -i ${device} -p -U ${sizes} --immediate-mode -w ${file} '${filter}' 2>${log}`;
  // Those of a capture before.
  for (const old of [file, log]) rmSync(host.path(old), { force: true });
  const running = host.start(['sh', '-c', command], { timeout: 120_000 });
  const said = (): string => (existsSync(host.path(log)) ? readFileSync(host.path(log), 'utf8') : '');
  await waitUntil(`tcpdump listens on ${device}`, () => said().includes('listening on')).catch(
    (error: Error) => {
      throw new Error(`${error.message}: ${said()}`);
    },
  );
  return {
    file,
    stop: async () => {
      await host.exec(['bash', '--norc', '-c', `printf '${END.trim()}\\n' >/dev/udp/${address}/8472`]);
      await waitUntil('the capture has its end', () => readFileSync(host.path(file), 'latin1').includes(END));
      running.kill('SIGINT');
      await running.outcome;
      if (!said().includes('\n0 packets dropped by kernel'))
        throw new Error(`tcpdump lost packets: ${said()}`);
      return readCapture(host.path(file)).filter((frame) => !isEnd(frame));
    },
  };
};

const isEnd = ({ udp }: Frame): boolean =>
  udp !== undefined && Buffer.from(udp.payload).equals(Buffer.from(END));
