import { readFileSync } from 'node:fs';

/** An Ethernet frame as far as these tests look into it. */
export interface Frame {
  sourceMac: string;
  destinationMac: string;
  /** Bytes of the IP packet, by its own header. */
  length: number;
  source: string;
  destination: string;
  /** IPv4: more fragments follow, or this is not the first. IPv6: a fragment header. */
  fragment: boolean;
  /** Of IP: 1 ICMP, 6 TCP, 17 UDP, 58 ICMPv6. */
  protocol: number;
  udp?: { sourcePort: number; destinationPort: number; checksum: number; payload: Uint8Array };
}

/** What RFC 7348, section 5, puts between UDP and the inner frame. */
export interface VxlanPacket {
  outer: Frame;
  flags: number;
  /** The bits that are to be zero. */
  reserved: number;
  vni: number;
  inner: Frame | undefined;
}

/** The IP frames of a capture file, as tcpdump writes it (pcap 2.4, little endian, Ethernet). */
export const readCapture = (file: string): Frame[] => {
  const bytes = readFileSync(file);
  if (bytes.readUInt32LE(0) !== 0xa1b2c3d4 || bytes.readUInt32LE(20) !== 1) {
    throw new Error(`${file} is no capture of Ethernet frames`);
  }
  const frames: Frame[] = [];
  for (let at = 24; at + 16 <= bytes.length; ) {
    const captured = bytes.readUInt32LE(at + 8);
    if (bytes.readUInt32LE(at + 12) !== captured) throw new Error(`${file}: a frame is cut off`);
    const frame = parseFrame(bytes.subarray(at + 16, at + 16 + captured));
    if (frame !== undefined) frames.push(frame);
    at += 16 + captured;
  }
  return frames;
};

/** Reads a UDP packet as VXLAN. Throws RangeError when it is too short for that. */
export const parseVxlan = (outer: Frame): VxlanPacket => {
  const payload = Buffer.from(outer.udp?.payload ?? []);
  return {
    outer,
    flags: payload.readUInt8(0),
    reserved: payload.readUIntBE(1, 3) + payload.readUInt8(7),
    vni: payload.readUIntBE(4, 3),
    inner: parseFrame(payload.subarray(8)),
  };
};

const parseFrame = (bytes: Buffer): Frame | undefined => {
  const macs = { destinationMac: mac(bytes, 0), sourceMac: mac(bytes, 6) };
  const type = bytes.readUInt16BE(12);
  const ip = bytes.subarray(14);
  if (type === 0x0800) return { ...macs, ...parseIpv4(ip) };
  return type === 0x86dd ? { ...macs, ...parseIpv6(ip) } : undefined;
};

type Packet = Omit<Frame, 'sourceMac' | 'destinationMac'>;

const parseIpv4 = (ip: Buffer): Packet => {
  const length = ip.readUInt16BE(2);
  const protocol = ip.readUInt8(9);
  return {
    length,
    source: [...ip.subarray(12, 16)].join('.'),
    destination: [...ip.subarray(16, 20)].join('.'),
    // All but "don't fragment".
    fragment: (ip.readUInt16BE(6) & 0xbfff) !== 0,
    protocol,
    ...withUdp(protocol, ip.subarray((ip.readUInt8(0) & 15) * 4, length)),
  };
};

const parseIpv6 = (ip: Buffer): Packet => {
  const length = ip.readUInt16BE(4) + 40;
  const protocol = ip.readUInt8(6);
  return {
    length,
    source: groups(ip, 8),
    destination: groups(ip, 24),
    fragment: protocol === 44,
    protocol,
    ...withUdp(protocol, ip.subarray(40, length)),
  };
};

const withUdp = (protocol: number, bytes: Buffer): Pick<Frame, 'udp'> => {
  if (protocol !== 17) return {};
  const [sourcePort, destinationPort, checksum] = [0, 2, 6].map((at) => bytes.readUInt16BE(at)) as [
    number,
    number,
    number,
  ];
  return { udp: { sourcePort, destinationPort, checksum, payload: bytes.subarray(8) } };
};

const mac = (bytes: Buffer, at: number): string =>
  bytes
    .subarray(at, at + 6)
    .toString('hex')
    .replace(/..(?=.)/g, '$&:');

/** Eight groups, with the longest run of zeros as `::` (good enough for the lab's addresses). */
const groups = (bytes: Buffer, at: number): string =>
  Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(at + 2 * index).toString(16))
    .join(':')
    .replace(/(^|:)0(:0)+(:|$)/, '::');
