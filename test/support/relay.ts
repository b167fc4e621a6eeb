import { connect, createServer, type Server, type Socket } from 'node:net';

/**
 * A relay of TCP connections on a port of 127.0.0.1, to part a client from its server: `cut` ends all connections and
 * takes no new ones, `hold` keeps them and passes nothing on, as a peer that lost its power; `mend` ends what was held,
 * and relays again.
 */
export class Relay {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #state: 'relaying' | 'cut' | 'holding' = 'relaying';

  private constructor(server: Server, port: number, targetPort: number) {
    this.port = port;
    this.#server = server;
    server.on('connection', (client) => {
      this.#track(client);
      if (this.#state === 'cut') return client.destroy();
      if (this.#state === 'holding') return client.pause();
      const target = this.#track(connect(targetPort, '127.0.0.1'));
      const pass = (from: Socket, to: Socket): void => {
        from.on('data', (data) => this.#state === 'relaying' && to.write(data));
        from.on('close', () => to.destroy());
      };
      pass(client, target);
      pass(target, client);
    });
  }

  static async to(url: string): Promise<Relay> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new Relay(server, (server.address() as { port: number }).port, Number(new URL(url).port));
  }

  get url(): string {
    return `https://127.0.0.1:${this.port}`;
  }

  cut(): void {
    this.#state = 'cut';
    this.#endAll();
  }

  hold(): void {
    this.#state = 'holding';
  }

  mend(): void {
    this.#endAll();
    this.#state = 'relaying';
  }

  [Symbol.dispose](): void {
    this.#endAll();
    this.#server.close();
  }

  #track(socket: Socket): Socket {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
    return socket;
  }

  #endAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
