import { conventionalArgs, type Plugin } from '../../shared/cni/plugin.ts';
import { add } from './add.ts';
import { check } from './check.ts';
import { del, gc } from './release.ts';
import { status } from './status.ts';

/**
 * IPAM out of pools that all nodes of a cluster share. A node claims blocks of them in a datastore, and gives the
 * addresses of its blocks itself.
 */
export const plugin: Plugin = {
  title: 'cluster-ipam',
  knownArgs: [
    ...conventionalArgs,
    'K8S_POD_NAMESPACE',
    'K8S_POD_NAME',
    'K8S_POD_UID',
    'K8S_POD_INFRA_CONTAINER_ID',
  ],
  add: (call) => add(call),
  del: (call) => del(call),
  check: (call) => check(call),
  gc: (call, valid) => gc(call, valid),
  status: (call) => status(call),
};
