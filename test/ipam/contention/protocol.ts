import type { EtcdDatastoreOptions } from '../../../shared/store/datastore/etcd.ts';

/** How a process of nodes reaches the datastore. */
export type DatastoreAccess =
  | { kind: 'etcd'; options: EtcdDatastoreOptions }
  | { kind: 'kubernetes'; server: string; authorityFile: string; token: string }
  | { kind: 'file'; directory: string };

/** The first line that such a process reads. */
export interface Setup {
  access: DatastoreAccess;
  /** Where the nodes have their files: one directory each. */
  directory: string;
  seed: number;
  /** Whether the process may die by itself, in the midst of a call to the datastore. */
  mayDie: boolean;
}

/** Every further line. What is done is done as a plugin call or the agent does it. */
export type Command = { id: number } & Work;

export type Work =
  | NodeWork
  /** From now on the way to the datastore is good, and the process no longer ends by itself. */
  | { do: 'calm' };

export type NodeWork =
  | { do: 'add'; node: string; container: string; sticky?: string }
  | { do: 'del'; node: string; container: string }
  | { do: 'maintain'; node: string }
  /** What the node's files say is in use: `address container`. */
  | { do: 'held'; node: string };

export type Answer = { id: number } & ({ value: string[] } | { code: number; message: string });
