import { expect, test } from 'vitest';
import { checkOptions, type EtcdOptions } from './options.ts';

const endpoints = ['https://192.0.2.1:2379'];

test('endpoints lose a slash at their end, and doubles', () => {
  const checked = checkOptions({
    endpoints: ['https://192.0.2.1:2379/', 'https://192.0.2.1:2379', 'http://[::1]:2379'],
  });
  expect(checked.endpoints).toEqual(['https://192.0.2.1:2379', 'http://[::1]:2379']);
});

const wrong: [string, EtcdOptions, string][] = [
  ['no endpoint', { endpoints: [] }, 'no endpoint'],
  ['an endpoint without scheme', { endpoints: ['192.0.2.1:2379'] }, '192.0.2.1:2379'],
  ['an endpoint of another scheme', { endpoints: ['unix:///run/etcd'] }, 'unix:///run/etcd'],
  ['an endpoint with a path', { endpoints: ['https://192.0.2.1:2379/v3'] }, '/v3'],
  ['a certificate without key', { endpoints, tls: { cert: '/c' } }, '/c'],
  ['a key without certificate', { endpoints, tls: { key: '/k' } }, '/k'],
  ['a CA without https', { endpoints: ['http://192.0.2.1:2379'], tls: { ca: '/ca' } }, 'not https'],
  ['a user without password', { endpoints, user: 'u' }, 'u has no password'],
  ['a password without user', { endpoints, passwordFile: '/p' }, 'no user'],
];

test.for(wrong)('%s is refused', ([, options, message]) => {
  expect(() => checkOptions(options)).toThrow(
    expect.objectContaining({
      code: 7,
      message: expect.stringContaining(message),
      details: expect.any(String),
    }),
  );
});

test('a password in an endpoint is refused without being shown', () => {
  expect(() => checkOptions({ endpoints: ['https://root:secret@192.0.2.1:2379'] })).toThrow(
    expect.objectContaining({ code: 7, message: expect.not.stringContaining('secret') }),
  );
});
