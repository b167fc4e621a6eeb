import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { isObject } from '../../../shared/cni/fields.ts';
import type { JsonObject } from '../../../shared/cni/types.ts';
import { createEtcdDatastore } from '../../../shared/store/datastore/etcd.ts';
import { createKubernetesDatastore } from '../../../shared/store/datastore/kubernetes.ts';
import { EtcdServer } from '../../support/etcd.ts';
import { KubeApiServer } from '../../support/kubernetes/kube-apiserver.ts';
import { waitUntil } from '../../support/wait-until.ts';
import type { Ground } from './contend.ts';

/** Runs `body` over an etcd of its own, with TLS, that is killed with SIGKILL. */
export const onEtcd = async <T>(body: (ground: Ground) => Promise<T>): Promise<T> => {
  await using server = await EtcdServer.start();
  const options = { ...server.options, prefix: '/contention' };
  const datastore = createEtcdDatastore(options);
  const restart = async (): Promise<void> => {
    await server.kill();
    server.resume();
    await server.ready();
  };
  try {
    return await inScratch((directory) =>
      body({ access: { kind: 'etcd', options }, datastore, restart, directory }),
    );
  } finally {
    datastore.close();
  }
};

/** The same over a kube-apiserver with the definitions that are shipped. Only the API server is killed. */
export const onKubernetes = async <T>(body: (ground: Ground) => Promise<T>): Promise<T> => {
  const server = await KubeApiServer.start();
  try {
    await define(server);
    const datastore = createKubernetesDatastore(server.access('admin-token'));
    const restart = async (): Promise<void> => {
      await server.stopServer();
      await server.startServer();
    };
    const { certFile: authorityFile } = server.authority.own;
    const access = { kind: 'kubernetes', server: server.url, authorityFile, token: 'admin-token' } as const;
    try {
      return await inScratch((directory) => body({ access, datastore, restart, directory }));
    } finally {
      datastore.close();
    }
  } finally {
    await server.dispose();
  }
};

const inScratch = async <T>(body: (directory: string) => Promise<T>): Promise<T> => {
  const directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'podwire-contention-'));
  try {
    return await body(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
};

const define = async (server: KubeApiServer): Promise<void> => {
  const file = resolve(import.meta.dirname, '../../../conf/kubernetes/crds.yaml');
  const kind = { group: 'apiextensions.k8s.io', version: 'v1', plural: 'customresourcedefinitions' };
  for (const definition of Bun.YAML.parse(readFileSync(file, 'utf8')) as JsonObject[]) {
    const { metadata } = await server.admin.create(kind, definition);
    await waitUntil(`${metadata.name} is established`, async () => {
      const status = (await server.admin.get(kind, metadata.name))?.status;
      const conditions = isObject(status) && Array.isArray(status.conditions) ? status.conditions : [];
      return conditions.some(
        (condition) => isObject(condition) && condition.type === 'Established' && condition.status === 'True',
      );
    });
  }
};
