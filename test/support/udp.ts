import type { Place } from './pod.ts';
import { waitUntil } from './wait-until.ts';

/**
 * Answers every UDP datagram on a port of a place with `answer`, until its host is disposed or `stop` is
 * called. The scripts run in bun, which runs the tests.
 */
export const startUdpServer = async (
  place: Place,
  port: number,
  answer: string,
): Promise<{ stop: () => Promise<void> }> => {
  const running = place.start([process.execPath, '-e', serverScript], {
    env: { PORT: String(port), ANSWER: answer },
    timeout: 3_600_000,
  });
  let ended: string | undefined;
  void running.outcome.then(({ exitCode, stderr }) => {
    ended = `the server ended with ${exitCode}: ${stderr}`;
  });
  await waitUntil(`UDP port ${port} is open`, async () => {
    if (ended !== undefined) throw new Error(ended);
    return (await place.exec(['ss', '-Hlun', `sport = :${port}`])) !== '';
  });
  const stop = async (): Promise<void> => {
    running.kill();
    await running.outcome;
  };
  return { stop };
};

/** What the server at `address` answers a datagram from `localPort`; undefined when it does not in a second. */
export const askUdp = async (
  from: Place,
  address: string,
  port: number,
  localPort = 0,
): Promise<string | undefined> => {
  const env = { ADDRESS: address, PORT: String(port), LOCAL_PORT: String(localPort) };
  const answer = await from.exec([process.execPath, '-e', clientScript], { env, timeout: 5000 });
  return answer === '' ? undefined : answer;
};

// Bound to :: it gets datagrams of both families.
const serverScript = `
  await Bun.udpSocket({
    hostname: '::',
    port: Number(process.env.PORT),
    socket: { data: (socket, _, port, address) => void socket.send(process.env.ANSWER, port, address) },
  });
`;

const clientScript = `
  const { ADDRESS, PORT, LOCAL_PORT } = process.env;
  const done = (answer) => {
    process.stdout.write(answer);
    process.exit(0);
  };
  const socket = await Bun.udpSocket({
    hostname: ADDRESS.includes(':') ? '::' : '0.0.0.0',
    port: Number(LOCAL_PORT),
    socket: { data: (_, data) => done(data.toString()), error: () => {} },
  });
  socket.send('question', Number(PORT), ADDRESS);
  setTimeout(() => done(''), 1000);
`;
