import type { Place } from './pod.ts';

/**
 * Sends the first packet of an SCTP association (RFC 9260, an INIT chunk) by IPv4, without needing SCTP in
 * the kernel: for tests of what a packet filter does with it.
 */
export const sendSctpInit = async (from: Place, address: string, port: number): Promise<void> => {
  const packet = Buffer.from(sctpInit(port)).toString('hex');
  await from.exec([process.execPath, '-e', senderScript], { env: { ADDRESS: address, PACKET: packet } });
};

const sctpInit = (port: number): Uint8Array => {
  const packet = new DataView(new ArrayBuffer(32));
  packet.setUint16(0, 40_000);
  packet.setUint16(2, port);
  // The chunk: INIT, 20 bytes long, with a tag, a window of 64 KiB, one stream each way and a first number.
  packet.setUint8(12, 1);
  packet.setUint16(14, 20);
  packet.setUint32(16, 0x5eed);
  packet.setUint32(20, 65_536);
  packet.setUint16(24, 1);
  packet.setUint16(26, 1);
  packet.setUint32(28, 1);
  const bytes = new Uint8Array(packet.buffer);
  // It is the one number of the header that is little-endian.
  packet.setUint32(8, crc32c(bytes), true);
  return bytes;
};

const crc32c = (bytes: Uint8Array): number => {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f6_3b78 : 0);
  }
  return ~crc >>> 0;
};

// AF_INET, SOCK_RAW, IPPROTO_SCTP; struct sockaddr_in.
const senderScript = `
  import { dlopen, ptr } from 'bun:ffi';
  const { symbols } = dlopen('libc.so.6', {
    socket: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
    sendto: { args: ['i32', 'ptr', 'u64', 'i32', 'ptr', 'u32'], returns: 'i64' },
  });
  const packet = Buffer.from(process.env.PACKET, 'hex');
  const to = new Uint8Array(16);
  to[0] = 2;
  to.set(process.env.ADDRESS.split('.').map(Number), 4);
  const sent = symbols.sendto(symbols.socket(2, 3, 132), ptr(packet), packet.length, 0, ptr(to), to.length);
  if (Number(sent) !== packet.length) throw new Error('sendto failed');
`;
