import type { Fields } from '../../shared/cni/fields.ts';
import type { Datastore } from '../../shared/store/datastore/datastore.ts';
import { createFileDatastore } from '../../shared/store/datastore/file.ts';
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

/** Reads `ipam.datastore`. Opens nothing, and loads no client. Throws CniError 7. */
export const chooseDatastore = (ipam: Fields): DatastoreChoice => {
  const fields = ipam.fields('datastore');
  const type = fields.string('type') ?? 'file';
  const choose = choices[type];
  if (choose === undefined) {
    throw fields.invalid('type', `must be one of ${Object.keys(choices).join(', ')}`);
  }
  return choose(fields);
};

const choices: Record<string, (fields: Fields) => DatastoreChoice> = {
  etcd: chooseEtcd,
  file: (fields) => {
    const directory = fields.string('directory') || defaultDirectory;
    if (!directory.startsWith('/')) throw fields.invalid('directory', 'must be an absolute path');
    return {
      identity: `the directory ${directory}`,
      takesPools: true,
      connect: async () => createFileDatastore(directory),
    };
  },
};
