import type { Fields } from '../cni/fields.ts';
import { checkOptions } from '../store/etcd/options.ts';
import type { DatastoreChoice } from './connect.ts';

const defaultPrefix = '/podwire';

/**
 * `{ "type": "etcd", "endpoints": [ … ], "ca", "cert", "key", "user", "passwordFile", "prefix" }`. The client is loaded
 * when it is needed, which most calls never do. Throws CniError 7.
 */
export const chooseEtcd = (fields: Fields): DatastoreChoice => {
  const endpoints = fields.strings('endpoints') ?? [];
  if (endpoints.length === 0) {
    throw fields.invalid('endpoints', 'must be a list of client URLs', 'Write ["https://192.0.2.1:2379"].');
  }
  const options = checkOptions({
    endpoints,
    tls: { ca: file(fields, 'ca'), cert: file(fields, 'cert'), key: file(fields, 'key') },
    user: fields.string('user') || undefined,
    passwordFile: file(fields, 'passwordFile'),
  });
  const prefix = (fields.string('prefix') || defaultPrefix).replace(/\/+$/, '');
  return {
    // Not the endpoints: a cluster that is given a further member is the same.
    identity: `etcd below ${prefix}`,
    takesPools: false,
    connect: async () => {
      const { createEtcdDatastore } = await import('../store/datastore/etcd.ts');
      return createEtcdDatastore({ ...options, prefix });
    },
  };
};

const file = (fields: Fields, key: string): string | undefined => {
  const path = fields.string(key) || undefined;
  if (path === undefined || path.startsWith('/')) return path;
  throw fields.invalid(key, 'must be an absolute path');
};
