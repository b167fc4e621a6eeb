import { expect, test } from 'vitest';
import { Fields } from '../cni/fields.ts';
import type { JsonObject } from '../cni/types.ts';
import { chooseDatastore } from './connect.ts';

const choose = (datastore: JsonObject) =>
  chooseDatastore(new Fields({ datastore: { type: 'etcd', ...datastore } }, 'ipam'));

test('the data are the same whichever members are named', () => {
  const { identity, takesPools } = choose({ endpoints: ['https://192.0.2.1:2379'] });
  expect(takesPools).toBe(false);
  expect(choose({ endpoints: ['https://192.0.2.2:2379'], prefix: '/podwire/' }).identity).toBe(identity);
  expect(choose({ endpoints: ['https://192.0.2.1:2379'], prefix: '/other' }).identity).not.toBe(identity);
});

const endpoints = ['https://192.0.2.1:2379'];

test.for<[string, JsonObject]>([
  ['endpoints', {}],
  ['endpoints', { endpoints: 'https://192.0.2.1:2379' }],
  ['192.0.2.1:2379', { endpoints: ['192.0.2.1:2379'] }],
  ['ipam.datastore.ca', { endpoints, ca: 'ca.crt' }],
  ['/cert', { endpoints, cert: '/cert' }],
  ['no password file', { endpoints, user: 'u' }],
])('wrong: %s', ([message, datastore]) => {
  expect(() => choose(datastore)).toThrow(
    expect.objectContaining({ code: 7, message: expect.stringContaining(message) }),
  );
});

test('a file that is missing is told of when the datastore is needed', async () => {
  const { connect } = choose({ endpoints, ca: '/nonexistent/ca.crt' });
  await expect(connect()).rejects.toMatchObject({
    code: 7,
    message: expect.stringContaining('/nonexistent/ca.crt'),
  });
});
