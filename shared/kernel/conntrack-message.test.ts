import { describe, expect, test } from 'vitest';
import { encodeDeleteFlow, encodeListFlows, parseFlow } from './conntrack-message.ts';

// Payloads as kernel 6.18 sent them for a datagram to port 5353 of 127.0.0.1 and ::1.
const FOUR = `
  020000003400018014000180080001007f000001080002007f0000011c000280050001001100000006000200e1a400000600
  030014e900003400028014000180080001007f000001080002007f0000011c00028005000100110000000600020014e90000
  06000300e1a400000800030000000008080008000000000008000c00b682164c08000b000000000108000700
  0000001d`;
const SIX = `
  0a0000004c0001802c0001801400030000000000000000000000000000000001140004000000000000000000000000000000
  00011c000280050001001100000006000200816000000600030014e900004c0002802c000180140003000000000000000000
  000000000000000114000400000000000000000000000000000000011c00028005000100110000000600020014e900000600
  03008160000008000300000000080800080000000000080
  00c0022ea8bfa08000b0000000001080007000000001d`;

const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.replaceAll(/\s/g, ''), 'hex'));
const hex = (value: Uint8Array | undefined): string => Buffer.from(value ?? []).toString('hex');

describe('parseFlow', () => {
  test.each([
    ['IPv4', FOUR, 4, '7f000001'],
    ['IPv6', SIX, 6, '00000000000000000000000000000001'],
  ])('%s', (_, payload, family, address) => {
    const flow = parseFlow(bytes(payload));
    expect(flow).toMatchObject({ family, protocol: 17, port: 5353 });
    expect([hex(flow?.destination), hex(flow?.responder)]).toEqual([address, address]);
  });

  test('a flow of a protocol without ports is none of ours', () => {
    expect(parseFlow(bytes('02000000'))).toBeUndefined();
  });
});

test('a flow is deleted by its own tuple and id', () => {
  const flow = parseFlow(bytes(FOUR));
  if (flow === undefined) throw new Error('no flow');
  const message = encodeDeleteFlow(flow);
  expect(hex(message.subarray(4, 8))).toBe('02010500');
  const whole = hex(bytes(FOUR));
  expect(hex(message.subarray(20))).toBe(`${whole.slice(8, 8 + 104)}08000c00b682164c`);
});

test('a list asks the kernel to filter by protocol and port', () => {
  const message = encodeListFlows({ family: 4, protocol: 17, port: 5353 });
  expect(hex(message.subarray(4, 8))).toBe('01010103');
  expect(hex(message.subarray(16))).toBe(
    '02000000' +
      '18000180' +
      '14000280' +
      '0500010011000000' +
      '0600030014e90000' +
      '0c001980' +
      '0800010028000000',
  );
});
