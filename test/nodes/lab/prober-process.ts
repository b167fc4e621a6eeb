import { createInterface } from 'node:readline';
import { openNetns } from '../../../shared/kernel/netns.ts';
import type { Answer, Question } from './prober.ts';

// See prober.ts. Requests and answers are lines of JSON on stdin and stdout; it ends with its stdin.

const PORT = 7007;

type Request = { serve: string[] } | { ask: Question[]; timeoutMs: number };

const within = <T>(path: string, body: () => T): T => {
  const netns = openNetns(path);
  try {
    return netns.run(body);
  } finally {
    netns.close();
  }
};

const plain = (address: string): string => address.replace(/^::ffff:/, '');

/** Where the way back is missing, the asker gets no answer. */
const answer = (socket: Bun.udp.Socket<'buffer'>, _: Buffer, port: number, address: string): void => {
  try {
    socket.send(plain(address), port, address);
  } catch {}
};

const serve = async (path: string): Promise<void> => {
  within(path, () =>
    Bun.listen({
      hostname: '::',
      port: PORT,
      socket: { open: (socket) => void socket.end(plain(socket.remoteAddress)), data: () => {} },
    }),
  );
  let udp: Promise<unknown> | undefined;
  // The socket is opened before the first await, so inside.
  within(path, () => {
    udp = Bun.udpSocket({
      hostname: '::',
      port: PORT,
      socket: { data: answer, error: () => {} },
    });
  });
  await udp;
};

const askTcp = ({ from, to }: Question): Promise<Answer> =>
  new Promise((resolve) => {
    const failed = (error: unknown) => resolve({ failed: String((error as Error)?.message ?? error) });
    within(from, () => {
      Bun.connect({
        hostname: to,
        port: PORT,
        socket: {
          data: (socket, data) => {
            resolve({ seen: data.toString() });
            socket.end();
          },
          error: (_, error) => failed(error),
          connectError: (_, error) => failed(error),
        },
      }).catch(failed);
    });
  });

const askUdp = ({ from, to }: Question, timeoutMs: number): Promise<Answer> =>
  new Promise((resolve) => {
    within(from, () => {
      Bun.udpSocket({
        hostname: to.includes(':') ? '::' : '0.0.0.0',
        socket: {
          data: (socket, data) => {
            resolve({ seen: data.toString() });
            socket.close();
          },
          error: () => {},
        },
      }).then(
        (socket) => {
          try {
            socket.send('who am I', PORT, to);
          } catch (error) {
            resolve({ failed: String(error) });
          }
          setTimeout(() => socket.close(), timeoutMs).unref();
        },
        (error: unknown) => resolve({ failed: String(error) }),
      );
    });
  });

const ask = (question: Question, timeoutMs: number): Promise<Answer> => {
  const timeout = Promise.withResolvers<Answer>();
  const timer = setTimeout(() => timeout.resolve({ failed: `no answer in ${timeoutMs} ms` }), timeoutMs);
  const told = question.protocol === 'tcp' ? askTcp(question) : askUdp(question, timeoutMs);
  return Promise.race([told, timeout.promise]).finally(() => clearTimeout(timer));
};

const perform = async (request: Request): Promise<unknown> => {
  if ('ask' in request) return Promise.all(request.ask.map((question) => ask(question, request.timeoutMs)));
  await Promise.all(request.serve.map(serve));
  return null;
};

for await (const line of createInterface({ input: process.stdin })) {
  let reply: object;
  try {
    reply = { result: await perform(JSON.parse(line)) };
  } catch (error) {
    reply = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
process.exit(0);
