import { fileURLToPath } from 'node:url';
import type { Place } from './pod.ts';
import { waitUntil } from './wait-until.ts';

/** Answers UDP on all addresses of a place with `text` and the sender's address, until its host is disposed. */
export const startUdpServer = async (place: Place, port: number, text: string): Promise<void> => {
  place.start([BUN, FIXTURE, 'serve', String(port), text], { timeout: 3_600_000 });
  await waitUntil(
    `UDP port ${port} is open`,
    async () => (await place.exec(['ss', '-Hlun', `sport = :${port}`])).split('\n').length > 2,
  );
};

/** Sends a datagram, from a certain port if one is given; the answer, undefined when none came in a second. */
export const askByUdp = async (
  from: Place,
  address: string,
  port: number,
  ownPort = 0,
): Promise<string | undefined> => {
  const { exitCode, stdout } = await from.attempt([
    BUN,
    FIXTURE,
    'ask',
    address,
    String(port),
    String(ownPort),
  ]);
  return exitCode === 0 ? stdout : undefined;
};

/** Sends an SCTP INIT from port 4444 of one place; the destination port with which it arrives in another. */
export const sctpArrivesAt = async (
  from: Place,
  address: string,
  port: number,
  at: Place,
): Promise<number | undefined> => {
  const directory = `/run/sctp-${crypto.randomUUID()}`;
  const listening = at.start(['/bin/sh', '-c', `exec ${BUN} ${FIXTURE} receive-sctp >${directory}`]);
  const received = async (): Promise<string[]> =>
    (await at.attempt(['cat', directory])).stdout.split('\n').filter(Boolean);
  await waitUntil('a socket for SCTP is open', async () => (await received()).length > 0);
  await from.exec([BUN, FIXTURE, 'send-sctp', address, String(port), '4444']);
  let ports: string[] = [];
  await waitUntil(
    'a packet arrives, or not',
    async () => {
      ports = (await received()).slice(1);
      return ports.length > 0;
    },
    2000,
  ).catch(() => {});
  listening.kill('SIGKILL');
  await listening.outcome;
  return ports[0] === undefined ? undefined : Number(ports[0]);
};

const BUN = fileURLToPath(new URL('../../node_modules/.bin/bun', import.meta.url));
const FIXTURE = fileURLToPath(new URL('./datagram.fixture.ts', import.meta.url));
