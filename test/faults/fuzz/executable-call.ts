import fc from 'fast-check';
import type { JsonObject } from '../../../shared/cni/types.ts';
import { podwireBin } from '../../support/binaries.ts';
import { callPlugin, type PluginOutcome } from '../../support/call-plugin.ts';
import { systemPath } from '../../support/process.ts';
import type { TestHost } from '../../support/test-host.ts';
import { type Variables, variables } from './environments.ts';
import { fuzzedPlugins } from './fuzzed-plugins.ts';
import { mutated } from './mutations.ts';

/** One call of the executable, spoilt in its configuration, its environment, both or neither. */
export interface FuzzedCall {
  plugin: string;
  verb: string;
  stdin: Uint8Array;
  variables: Variables;
}

const verbs = fc.oneof(
  { weight: 8, arbitrary: fc.constant('ADD') },
  { weight: 4, arbitrary: fc.constantFrom('DEL', 'CHECK', 'GC', 'STATUS') },
  { weight: 1, arbitrary: fc.constantFrom('VERSION', '', 'add', 'ADD ', '__proto__') },
);

// Only directories in which nothing but our plugins can be found.
const surroundings = fc.record({
  CNI_NETNS: fc.oneof(
    { weight: 12, arbitrary: fc.constant('/run/netns/pod') },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        '',
        '/run/netns/none',
        '/proc/self/ns/net',
        '/dev/null',
        '/run',
        `/${'x'.repeat(5000)}`,
      ),
    },
  ),
  CNI_PATH: fc.oneof(
    { weight: 12, arbitrary: fc.constant(podwireBin) },
    {
      weight: 1,
      arbitrary: fc.constantFrom('', '/none', `:/none:${podwireBin}:`, '/run', `/${'x'.repeat(5000)}`),
    },
  ),
});

/** What a runtime adds to a configuration: for CHECK and a chain, and for GC. */
const withRuntimeKeys = (config: fc.Arbitrary<JsonObject>): fc.Arbitrary<JsonObject> =>
  fc.tuple(config, fc.nat(2), fc.nat(3)).map(([json, a, b]) => ({
    ...(a === 0 ? { prevResult } : {}),
    ...json,
    ...(b === 0 ? { 'cni.dev/valid-attachments': [{ containerID: 'other', ifname: 'eth0' }] } : {}),
  }));

const prevResult = {
  cniVersion: '1.0.0',
  interfaces: [
    { name: 'veth7', mac: '02:00:00:00:00:07' },
    { name: 'eth0', sandbox: '/run/netns/pod' },
  ],
  ips: [{ address: '10.80.0.2/16', gateway: '10.80.0.1', interface: 1 }],
  routes: [{ dst: '0.0.0.0/0', gw: '10.80.0.1' }],
  dns: { nameservers: ['192.0.2.53'] },
};

/** Calls of all plugins and verbs. */
export const fuzzedCall: fc.Arbitrary<FuzzedCall> = fc
  .constantFrom(...fuzzedPlugins)
  .chain(({ type, valid, chainedTo }) =>
    fc.record({
      plugin: fc.constant(type),
      verb: verbs,
      stdin: mutated(withRuntimeKeys(valid)),
      variables: fc.tuple(variables, surroundings, fc.nat(9)).map(([own, others, choice]) => ({
        ...own,
        ...others,
        ...(chainedTo === undefined || choice === 0 ? {} : { CNI_IFNAME: chainedTo }),
      })),
    }),
  );

/** A longer time than any call may take, in ms: tools are given 20 s. */
const deadlineMs = 30_000;

/** Makes the call. */
export const make = (host: TestHost, call: FuzzedCall): Promise<PluginOutcome> =>
  callPlugin(host, {
    binDir: podwireBin,
    plugin: call.plugin,
    command: call.verb,
    stdin: call.stdin,
    env: { PATH: systemPath, ...call.variables },
    timeout: deadlineMs,
  });
