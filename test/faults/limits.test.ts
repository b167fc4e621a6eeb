import { afterAll, beforeAll, expect, test } from 'vitest';
import { call, createPluginHost, expectSilent, networks } from '../protocol/calls.ts';
import { podwireBin } from '../support/binaries.ts';
import { systemPath } from '../support/process.ts';
import { leftovers, nothing, type Snapshot, snapshot } from '../support/snapshot.ts';
import type { TestHost } from '../support/test-host.ts';

let host: TestHost;
let before: Snapshot;
beforeAll(async () => {
  host = await createPluginHost('limits');
  await host.addPod('pod');
  before = await snapshot(host);
});
afterAll(() => host.dispose());

// Below some twenty descriptors bun itself can't start; it then ends without a word of ours.
test('with few descriptors an ADD works, or fails and leaves nothing', async () => {
  let worked = 0;
  for (const nofile of [4, 8, 12, 16, 20, 22, 24, 26, 28, 30, 32, 36, 40, 64]) {
    for (const plugin of ['bridge', 'veth', 'host-local'] as const) {
      const env = {
        PATH: systemPath,
        CNI_COMMAND: 'ADD',
        CNI_CONTAINERID: 'limited',
        CNI_NETNS: '/run/netns/pod',
        CNI_IFNAME: 'eth0',
        CNI_PATH: podwireBin,
      };
      const argv = ['prlimit', `--nofile=${nofile}:${nofile}`, '--core=0', `${podwireBin}/${plugin}`];
      const { exitCode, stdout } = await host.attempt(argv, { env, stdin: JSON.stringify(networks[plugin]) });
      if (exitCode === 0) {
        expect(JSON.parse(stdout)).toHaveProperty('ips');
        expectSilent(await call(host, { plugin, containerId: 'limited', command: 'DEL' }));
        worked += 1;
      } else if (stdout !== '') {
        const { details } = JSON.parse(stdout) as { details?: string };
        // Its own undoing may lack descriptors too, which it tells; the runtime's DEL follows anyway.
        if (details?.includes('While undoing')) {
          expectSilent(await call(host, { plugin, containerId: 'limited', command: 'DEL' }));
        }
      }
      const left = leftovers(before, await snapshot(host), [/ cni0( |$)/]);
      expect({ nofile, plugin, ...left }).toEqual({ nofile, plugin, ...nothing });
    }
  }
  expect(worked).toBeGreaterThan(3);
});

test('without the capability to change the network, the error says what is needed', async () => {
  const env = {
    PATH: systemPath,
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: 'powerless',
    CNI_NETNS: '/run/netns/pod',
    CNI_IFNAME: 'eth0',
    CNI_PATH: podwireBin,
  };
  for (const capability of ['sys_admin', 'net_admin']) {
    for (const plugin of ['bridge', 'veth'] as const) {
      const argv = [
        'setpriv',
        `--bounding-set=-${capability}`,
        `--inh-caps=-${capability}`,
        `${podwireBin}/${plugin}`,
      ];
      const { exitCode, stdout } = await host.attempt(argv, { env, stdin: JSON.stringify(networks[plugin]) });
      expect(exitCode).toBe(1);
      expect(stdout).toMatch(/not permitted|EPERM/i);
      expect(leftovers(before, await snapshot(host), [/ cni0( |$)/])).toEqual(nothing);
    }
  }
});
