import { type Place, Pod } from './pod.ts';
import { programPath } from './process.ts';
import { waitUntil } from './wait-until.ts';

/** Whether one of three pings is answered within a second each. */
export const ping = async (from: Place, address: string): Promise<boolean> =>
  (await from.attempt([programPath('ping'), '-n', '-q', '-c', '1', '-W', '1', address])).exitCode === 0 ||
  (await from.attempt([programPath('ping'), '-n', '-q', '-i', '0.2', '-c', '2', '-W', '1', address]))
    .exitCode === 0;

/**
 * Serves HTTP on all addresses of a place until its host is disposed; `whoSees` asks it. Uses
 * busybox (Debian: busybox-static).
 */
export const startServer = async (place: Place, port: number): Promise<void> => {
  const host = place instanceof Pod ? place.host : place;
  await host.shell(`mkdir -p /run/www/cgi-bin
cat >/run/www/cgi-bin/client <<'E'
#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n%s' "$REMOTE_ADDR"
E
chmod 755 /run/www/cgi-bin/client`);
  const busybox = programPath('busybox');
  const { outcome } = place.start([busybox, 'httpd', '-f', '-p', String(port), '-h', '/run/www'], {
    timeout: 3_600_000,
  });
  let ended: string | undefined;
  void outcome.then(({ exitCode, stderr }) => {
    ended = `the server ended with ${exitCode}: ${stderr}`;
  });
  await waitUntil(`port ${port} is open`, async () => {
    if (ended !== undefined) throw new Error(ended);
    return (await place.exec(['ss', '-Hltn', `sport = :${port}`])) !== '';
  });
};

/**
 * Asks the server at `address` for the address it sees the client under: the client's own, or the
 * one it was masqueraded with. Undefined when there is no answer within three seconds.
 */
export const whoSees = async (from: Place, address: string, port: number): Promise<string | undefined> => {
  const authority = address.includes(':') ? `[${address}]` : address;
  const url = `http://${authority}:${port}/cgi-bin/client`;
  // Not busybox' own -T: Debian's static build crashes on it.
  const wget = [programPath('busybox'), 'wget', '-q', '-O', '-', url];
  const { exitCode, stdout } = await from.attempt(wget, { timeout: 3000 });
  return exitCode === 0 ? stdout.replaceAll(/[[\]\s]/g, '').replace(/^::ffff:/, '') : undefined;
};
