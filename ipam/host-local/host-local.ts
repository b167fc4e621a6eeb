import { conventionalArgs, type Plugin } from '../../shared/cni/plugin.ts';
import { add } from './add.ts';
import { check } from './check.ts';
import { del, gc } from './release.ts';
import { status } from './status.ts';

/**
 * IPAM out of ranges on this machine, with the reference plugin's configuration and directory format
 * (containernetworking/plugins, `plugins/ipam/host-local`), so that the two can take turns.
 */
export const plugin: Plugin = {
  title: 'host-local',
  knownArgs: conventionalArgs,
  add: (call) => add(call),
  del: (call) => del(call),
  check: (call) => check(call),
  gc: (call, valid) => gc(call, valid),
  status: (call) => status(call),
};
