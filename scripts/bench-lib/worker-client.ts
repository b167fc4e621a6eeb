import { mkdtempSync, rmSync } from 'node:fs';
import type { Answer, Request, Response } from './protocol.ts';

/**
 * A worker on a host of its own. Its state is on a real disk, as a node's /var/lib is: on a tmpfs a plugin that
 * syncs its files would look as good as one that does not.
 */
export class WorkerClient {
  readonly #state = mkdtempSync('/var/tmp/podwire-bench-');
  readonly #process: Bun.Subprocess<'pipe', 'pipe', 'inherit'>;
  readonly #lines: AsyncIterator<string>;

  constructor() {
    const worker = `${import.meta.dir}/worker.ts`;
    this.#process = Bun.spawn({
      cmd: [`${import.meta.dir}/../private-host`, '--state', this.#state, process.execPath, worker],
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: 'inherit',
    });
    this.#lines = linesOf(this.#process.stdout);
  }

  /** Makes a request and waits for its answer; throws with the worker's words when it failed. */
  async ask<T extends Answer>(request: Request): Promise<T> {
    this.#process.stdin.write(`${JSON.stringify(request)}\n`);
    await this.#process.stdin.flush();
    const line = await this.#lines.next();
    if (line.done) throw new Error('the worker ended');
    const response = JSON.parse(line.value) as Response;
    if (!response.ok) throw new Error(response.error);
    return response.value as T;
  }

  /** Ends the worker and its host, and removes the state. */
  async close(): Promise<void> {
    this.#process.kill();
    await this.#process.exited;
    rmSync(this.#state, { recursive: true, force: true });
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}
