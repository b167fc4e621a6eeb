import type { Answer, DatastoreAccess, Setup, Work } from './protocol.ts';

/** The process died while it did the work: whether that was done, nobody was told. */
export class Killed extends Error {}

/** A call that failed, with the code of a CNI error. */
export class Failed extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

interface Pending {
  resolve: (value: string[]) => void;
  reject: (error: Error) => void;
}

/** A process with some of the nodes, started again whenever it died, over the same files. */
export class NodeProcess {
  /** How often it died. */
  deaths = 0;
  readonly #access: DatastoreAccess;
  readonly #directory: string;
  readonly #seed: number;
  readonly #mostDeaths: number;
  readonly #pending = new Map<number, Pending>();
  #process: Bun.Subprocess<'pipe', 'pipe', 'inherit'> | undefined;
  #last = 0;
  #isCalm = false;
  #isClosed = false;

  /** After `mostDeaths` it no longer dies by itself: where calls are slow, nothing would ever be done else. */
  constructor(access: DatastoreAccess, directory: string, seed: number, mostDeaths: number) {
    this.#access = access;
    this.#directory = directory;
    this.#seed = seed;
    this.#mostDeaths = mostDeaths;
    this.#start();
  }

  /** Has work done; throws Killed or Failed. */
  async ask(work: Work): Promise<string[]> {
    const id = ++this.#last;
    const answered = new Promise<string[]>((resolve, reject) => this.#pending.set(id, { resolve, reject }));
    this.#send({ id, ...work });
    return answered;
  }

  /** SIGKILL, at whatever it does. */
  kill(): void {
    this.#process?.kill('SIGKILL');
  }

  /** No more faults, and none after a further start. */
  async calm(): Promise<void> {
    this.#isCalm = true;
    // A process that dies at this very moment starts again as a calm one.
    await this.ask({ do: 'calm' }).catch(() => {});
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.kill();
    await this.#process?.exited;
  }

  #start(): void {
    const process_ = Bun.spawn({
      cmd: [process.execPath, `${import.meta.dirname}/node-process.ts`],
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: 'inherit',
    });
    this.#process = process_;
    const setup: Setup = {
      access: this.#access,
      directory: this.#directory,
      seed: this.#seed + this.deaths,
      mayDie: this.deaths < this.#mostDeaths,
    };
    this.#send(setup);
    if (this.#isCalm) this.#send({ id: 0, do: 'calm' });
    void this.#follow(process_);
  }

  #send(line: object): void {
    try {
      this.#process?.stdin.write(`${JSON.stringify(line)}\n`);
      void Promise.resolve(this.#process?.stdin.flush()).catch(() => {});
    } catch {
      // It is dead: who waits is told when its end is noticed.
    }
  }

  async #follow(process_: Bun.Subprocess<'pipe', 'pipe', 'inherit'>): Promise<void> {
    const decoder = new TextDecoder();
    let rest = '';
    for await (const chunk of process_.stdout) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#take(JSON.parse(line) as Answer);
    }
    await process_.exited;
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    if (!this.#isClosed) {
      this.deaths++;
      this.#start();
    }
    for (const { reject } of waiting) reject(new Killed('the process of the node died'));
  }

  #take(answer: Answer): void {
    const pending = this.#pending.get(answer.id);
    this.#pending.delete(answer.id);
    if ('value' in answer) pending?.resolve(answer.value);
    else pending?.reject(new Failed(answer.code, answer.message));
  }
}
