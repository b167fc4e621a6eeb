import type { Fields } from '../cni/fields.ts';
import type { Datastore } from '../store/datastore/datastore.ts';
import { createFileDatastore } from '../store/datastore/file.ts';
import { chooseEtcd } from './etcd-choice.ts';

/** Which datastore a configuration means, and how to open it when it is needed. */
export interface DatastoreChoice {
  /** What it is, in words that stay the same as long as it holds the same data. */
  identity: string;
  /** Pools may be written in the configuration. */
  takesPools: boolean;
  connect: () => Promise<Datastore>;
}

const defaultDirectory = '/var/lib/podwire/datastore';
/** Where the agent leaves a kubeconfig for the plugins of its node. */
const defaultKubeconfig = '/etc/cni/net.d/podwire.kubeconfig';

/** Reads `ipam.datastore`. Opens nothing, and loads no client: an ordinary ADD needs none. Throws CniError 7. */
export const chooseDatastore = (ipam: Fields): DatastoreChoice => {
  const fields = ipam.fields('datastore');
  switch (fields.string('type') ?? 'file') {
    case 'file':
      return inFiles(fields);
    case 'etcd':
      return chooseEtcd(fields);
    case 'kubernetes':
      return inKubernetes(fields);
    default:
      throw fields.invalid('type', 'must be "file", "etcd" or "kubernetes"');
  }
};

const inFiles = (fields: Fields): DatastoreChoice => {
  const directory = fields.string('directory') || defaultDirectory;
  if (!directory.startsWith('/')) throw fields.invalid('directory', 'must be an absolute path');
  return {
    identity: `the directory ${directory}`,
    takesPools: true,
    connect: async () => createFileDatastore(directory),
  };
};

const inKubernetes = (fields: Fields): DatastoreChoice => {
  const kubeconfig = fields.string('kubeconfig') || defaultKubeconfig;
  const context = fields.string('context') || undefined;
  return {
    identity: 'the custom resources of Kubernetes',
    takesPools: false,
    connect: async () => {
      const [{ findAccess }, { createKubernetesDatastore }] = await Promise.all([
        import('../store/kubernetes/find-access.ts'),
        import('../store/datastore/kubernetes.ts'),
      ]);
      return createKubernetesDatastore(findAccess({ kubeconfig, context }));
    },
  };
};
