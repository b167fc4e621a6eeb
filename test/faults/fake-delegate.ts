import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, expect } from 'vitest';
import { createPluginHost } from '../protocol/calls.ts';
import { podwireBin } from '../support/binaries.ts';
import { leftovers, nothing, type Snapshot, snapshot } from '../support/snapshot.ts';
import type { TestHost } from '../support/test-host.ts';

/** The directory of the IPAM plugins that tests write, and CNI_PATH with it. */
export const directory = '/run/delegates';
export const withDelegates = { path: [directory, podwireBin] };

/** What a delegate prints when all is well. */
export const address =
  '{"cniVersion": "1.1.0", "ips": [{"address": "10.77.0.5/24", "gateway": "10.77.0.1"}]}';

/** A network on the bridge cni7 with this `ipam`. */
export const network = (ipam: object) => ({
  cniVersion: '1.1.0',
  name: 'delegated',
  type: 'bridge',
  bridge: 'cni7',
  ipam,
});

/**
 * For all tests of a file: makes a host with a pod and the directory, which is emptied before each test, and
 * hands it over. Returns an assertion that nothing is on it that was not there at first, but for the bridge.
 */
export const setUpDelegates = (take: (host: TestHost) => void): (() => Promise<void>) => {
  let host: TestHost;
  let before: Snapshot;
  beforeAll(async () => {
    host = await createPluginHost('delegate');
    await host.addPod('pod');
    mkdirSync(host.path(directory));
    before = await snapshot(host);
    take(host);
  });
  afterAll(() => host.dispose());
  beforeEach(() => host.shell(`rm -rf ${directory}/*`));
  return async () => expect(leftovers(before, await snapshot(host), [/ cni7( |$)/])).toEqual(nothing);
};

/** Installs the IPAM plugin `fake`: a shell script that logs its calls; `$CNI_COMMAND` decides what else. */
export const install = (host: TestHost, script: string): void => {
  const file = host.path(`${directory}/fake`);
  writeFileSync(file, `#!/bin/sh\necho "$CNI_COMMAND" >>${directory}/log\n${script}\n`);
  chmodSync(file, 0o755);
};

/** A script for ADD alone; the other verbs succeed. */
export const onAdd = (script: string): string => `[ $CNI_COMMAND = ADD ] || exit 0; ${script}`;

/** The verbs that `fake` was called with since this was last asked. */
export const takeLog = async (host: TestHost): Promise<string[]> =>
  (await host.shell(`cat ${directory}/log 2>/dev/null; rm -f ${directory}/log`)).split('\n').filter(Boolean);
