// Datagrams for tests, run by bun inside a host or pod:
//   serve PORT TEXT                 answers each UDP datagram with TEXT and the sender's address, IPv4 and IPv6
//   ask ADDRESS PORT [OWN_PORT]     sends one and prints the answer; exits with 1 when there is none in a second
//   receive-sctp                    prints the destination port of each SCTP packet that arrives (IPv4)
//   send-sctp ADDRESS PORT OWN_PORT sends one SCTP INIT (IPv4); raw, as kernels often lack SCTP's sockets
import { createSocket } from 'node:dgram';
import { checked, libc } from '../../shared/kernel/libc.ts';

const [mode, ...args] = process.argv.slice(2);

const serve = (port: number, text: string): void => {
  for (const type of ['udp4', 'udp6'] as const) {
    const socket = createSocket({ type, ipv6Only: true });
    socket.on('message', (_, { address, port: sender }) =>
      socket.send(`${text} ${address}`, sender, address),
    );
    socket.bind(port);
  }
};

const ask = (address: string, port: number, ownPort: number): void => {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.on('message', (answer) => {
    process.stdout.write(answer);
    process.exit(0);
  });
  socket.on('error', () => process.exit(1));
  socket.bind(ownPort, () => socket.send('?', port, address));
  setTimeout(() => process.exit(1), 1000);
};

const AF_INET = 2;
const SOCK_RAW = 3;
const IPPROTO_SCTP = 132;

const receiveSctp = (): void => {
  const fd = checked(libc().socket(AF_INET, SOCK_RAW, IPPROTO_SCTP), 'socket');
  process.stdout.write('ready\n');
  const buffer = new Uint8Array(2048);
  for (;;) {
    const length = checked(libc().recv(fd, buffer, buffer.length, 0), 'recv');
    const header = ((buffer[0] ?? 0) & 15) * 4;
    if (length >= header + 12) process.stdout.write(`${new DataView(buffer.buffer).getUint16(header + 2)}\n`);
  }
};

const sendSctp = (address: string, port: number, ownPort: number): void => {
  const fd = checked(libc().socket(AF_INET, SOCK_RAW, IPPROTO_SCTP), 'socket');
  const to = new Uint8Array(16);
  to[0] = AF_INET;
  to.set(address.split('.').map(Number), 4);
  // Common header, then an INIT chunk: tag, window, one stream each way, first sequence number (RFC 9260).
  const packet = new Uint8Array(32);
  const view = new DataView(packet.buffer);
  view.setUint16(0, ownPort);
  view.setUint16(2, port);
  packet[12] = 1;
  view.setUint16(14, 20);
  view.setUint32(16, 0x1234);
  view.setUint32(20, 65_536);
  view.setUint16(24, 1);
  view.setUint16(26, 1);
  view.setUint32(28, 1);
  view.setUint32(8, crc32c(packet), true);
  checked(libc().sendto(fd, packet, packet.length, 0, to, to.length), 'sendto');
};

const crc32c = (bytes: Uint8Array): number => {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
};

const [first = '', second = '', third = '0'] = args;
if (mode === 'serve') serve(Number(first), second);
if (mode === 'ask') ask(first, Number(second), Number(third));
if (mode === 'receive-sctp') receiveSctp();
if (mode === 'send-sctp') sendSctp(first, Number(second), Number(third));
