import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** What is asked: from one network namespace, an address in another, under which address it sees the asker. */
export interface Question {
  /** Paths of network namespaces. */
  from: string;
  to: string;
  protocol: 'tcp' | 'udp';
}

/** The sender's address as the receiver saw it, or why there was none. */
export type Answer = { seen: string } | { failed: string };

/**
 * A process of ours that answers and asks in many network namespaces at once, by sockets that it opens
 * inside of them: whoever connects by TCP or sends a datagram is told the address that it is seen under.
 */
export interface Prober {
  /** Answers on all addresses of these namespaces until disposal. */
  serve(namespaces: string[]): Promise<void>;
  /** Asks all at once. A question without an answer has failed after `timeoutMs`, 3000 unless given. */
  ask(questions: Question[], timeoutMs?: number): Promise<Answer[]>;
  dispose(): Promise<void>;
}

export const startProber = async (): Promise<Prober> => {
  const child = spawn(process.execPath, [`${import.meta.dirname}/prober-process.ts`], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const exit = once(child, 'exit');
  // One request at a time: the answers come in the order of the requests.
  let turn: Promise<unknown> = Promise.resolve();
  const request = <T>(body: object): Promise<T> => {
    const answer = turn.then(async () => {
      child.stdin.write(`${JSON.stringify(body)}\n`);
      const { value, done } = await lines.next();
      if (done === true) throw new Error('the prober has ended');
      const parsed = JSON.parse(value) as { error?: string; result: T };
      if (parsed.error !== undefined) throw new Error(`prober: ${parsed.error}`);
      return parsed.result;
    });
    turn = answer.catch(() => {});
    return answer;
  };
  return {
    serve: (namespaces) => request({ serve: namespaces }),
    ask: (questions, timeoutMs = 3000) => request({ ask: questions, timeoutMs }),
    dispose: async () => {
      child.stdin.end();
      await exit;
    },
  };
};
