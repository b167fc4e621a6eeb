// Runs in a node's network: passes connections to a port of its 127.0.0.1 on to a Unix socket, which is found from
// every network namespace.
import { connect, createServer } from 'node:net';

const [port, path] = process.argv.slice(2);
createServer((client) => {
  const target = connect(path ?? '');
  client.pipe(target).pipe(client);
  client.on('error', () => target.destroy());
  target.on('error', () => client.destroy());
}).listen(Number(port), '127.0.0.1');
