import { expect, test } from 'vitest';
import { parseResolvConf, readResolvConf } from './resolv-conf.ts';

test('a resolv.conf becomes dns', () => {
  const text = `# comment
; another
nameserver 192.0.2.1
  nameserver\t192.0.2.2  ignored
nameserver
domain first.example
domain second.example
search a.example b.example
search c.example
options ndots:5
options timeout:1 rotate
sortlist 192.0.2.0
#nameserver 192.0.2.3`;
  expect(parseResolvConf(text)).toEqual({
    nameservers: ['192.0.2.1', '192.0.2.2'],
    domain: 'second.example',
    search: ['a.example', 'b.example', 'c.example'],
    options: ['ndots:5', 'timeout:1', 'rotate'],
  });
  expect(parseResolvConf('')).toEqual({});
});

test('a missing file is an error that names the key and the file', () => {
  expect(() => readResolvConf('/no/such/resolv.conf')).toThrow(
    expect.objectContaining({
      code: 5,
      message: expect.stringContaining('"ipam.resolvConf" /no/such/resolv.conf'),
    }),
  );
});
