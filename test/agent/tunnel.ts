import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestHost } from '../support/test-host.ts';
import { waitUntil } from '../support/wait-until.ts';

/** Makes a server on our 127.0.0.1 reachable by the same address on the hosts, until the first is disposed. */
export const tunnelTo = async (hosts: TestHost[], url: string): Promise<void> => {
  const port = Number(new URL(url).port);
  const directory = mkdtempSync(join(tmpdir(), 'podwire-tunnel-'));
  const path = join(directory, 'socket');
  const server = createServer((client) => {
    const target = connect(port, '127.0.0.1');
    client.pipe(target).pipe(client);
    client.on('error', () => target.destroy());
    target.on('error', () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  hosts[0]?.onDispose(async () => {
    server.close();
    rmSync(directory, { recursive: true });
  });
  for (const host of hosts) {
    host.start([process.execPath, FIXTURE, `${port}`, path], { timeout: 3_600_000 });
    await waitUntil(
      `the tunnel of ${host.name} is open`,
      async () => (await host.exec(['ss', '-Hltn', `sport = :${port}`])) !== '',
    );
  }
};

const FIXTURE = fileURLToPath(new URL('./tunnel.fixture.ts', import.meta.url));
