import { expect } from 'vitest';
import { expectPlugins, podwireBin } from '../support/binaries.ts';
import {
  callPlugin,
  newContainerId,
  type PluginCall,
  type PluginOutcome,
  type PrintedError,
} from '../support/call-plugin.ts';
import { createHost, type TestHost } from '../support/test-host.ts';

/** A configuration that works for each plugin; tests spoil one thing of it. */
export const networks = {
  bridge: {
    cniVersion: '1.1.0',
    name: 'pods',
    type: 'bridge',
    bridge: 'cni0',
    isGateway: true,
    ipMasq: true,
    ipam: { type: 'host-local', ranges: [[{ subnet: '10.30.0.0/16' }]], routes: [{ dst: '0.0.0.0/0' }] },
  },
  veth: {
    cniVersion: '1.1.0',
    name: 'routed',
    type: 'veth',
    ipMasq: true,
    ipam: { type: 'host-local', ranges: [[{ subnet: '10.31.0.0/16' }]], routes: [{ dst: '0.0.0.0/0' }] },
  },
  'host-local': {
    cniVersion: '1.1.0',
    name: 'addresses',
    type: 'bridge',
    ipam: { type: 'host-local', ranges: [[{ subnet: '10.32.0.0/16' }]], routes: [{ dst: '0.0.0.0/0' }] },
  },
  static: {
    cniVersion: '1.1.0',
    name: 'fixed',
    type: 'bridge',
    ipam: {
      type: 'static',
      addresses: [{ address: '10.33.0.5/16', gateway: '10.33.0.1' }],
      routes: [{ dst: '0.0.0.0/0' }],
    },
  },
  loopback: { cniVersion: '1.1.0', name: 'lo', type: 'loopback' },
} as const;

export type PluginName = keyof typeof networks;
export const pluginNames = Object.keys(networks) as PluginName[];

/** A bridge network without addresses: the plugin alone, with no delegate. */
export const layer2 = { cniVersion: '1.1.0', name: 'layer2', type: 'bridge', bridge: 'cni2' };

/** A host for calls of the compiled plugins. */
export const createPluginHost = (name: string): Promise<TestHost> => {
  expectPlugins(podwireBin, ...pluginNames, 'ptp');
  return createHost({ name });
};

export type Spoiled = Partial<PluginCall> & { plugin: string };

/** A call of one of our plugins for a container of its own; ADD with the plugin's working configuration unless given. */
export const call = (host: TestHost, given: Spoiled): Promise<PluginOutcome> =>
  callPlugin(host, completed(given));

/** What `call` calls. */
export const completed = (given: Spoiled): PluginCall => ({
  binDir: podwireBin,
  command: 'ADD',
  containerId: newContainerId(),
  netns: '/run/netns/pod',
  ...(given.stdin === undefined && given.plugin in networks
    ? { config: networks[given.plugin as PluginName] }
    : {}),
  ...given,
});

/**
 * The one error object of a call that failed as it should: exit code 1, one of the codes, nothing else
 * printed, and `msg` holding all the words.
 */
export const expectError = (
  outcome: PluginOutcome,
  codes: number | number[],
  ...words: string[]
): PrintedError => {
  const { error, exitCode, stdout, stderr, signal } = outcome;
  if (error === undefined) {
    throw new Error(`no error object: exit ${exitCode ?? signal}, stdout ${stdout}, stderr ${stderr}`);
  }
  expect([codes].flat(), `code of: ${stdout}`).toContain(error.code);
  expect(exitCode).toBe(1);
  expect(stderr).toBe('');
  expect(error.msg.length, 'length of msg').toBeLessThan(1000);
  expect(Object.keys(error).filter((key) => !['cniVersion', 'code', 'msg', 'details'].includes(key))).toEqual(
    [],
  );
  expect(error.cniVersion).toMatch(/^\d\.\d\.\d$/);
  for (const word of words) expect(error.msg).toContain(word);
  return error;
};

/** A call that succeeded and wrote nothing to its log. */
export const expectSilent = (outcome: PluginOutcome): void => {
  const { exitCode, stdout, stderr, signal } = outcome;
  if (exitCode !== 0) throw new Error(`exit ${exitCode ?? signal}: ${stdout}${stderr}`);
  expect(stderr).toBe('');
};

/** Goes through a table, some rows at once; fails with all the rows that failed. */
export const forAll = async <T>(
  rows: readonly T[],
  titleOf: (row: T) => string,
  body: (row: T) => Promise<void>,
  atOnce = 6,
): Promise<void> => {
  expect(rows.length, 'rows of the table').toBeGreaterThan(0);
  const failures: string[] = [];
  const left = [...rows];
  const work = async (): Promise<void> => {
    for (let row = left.shift(); row !== undefined; row = left.shift()) {
      const title = titleOf(row);
      await body(row).catch((error: Error) =>
        failures.push(`${title}: ${error.message.replaceAll(/\s+/g, ' ').slice(0, 400)}`),
      );
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  if (failures.length > 0)
    throw new Error(`${failures.length} of ${rows.length} rows:\n${failures.join('\n')}`);
};
