import { expect } from 'vitest';
import { podwireBin, referenceBin } from '../support/binaries.ts';
import { expectResult, newContainerId, type PrintedResult } from '../support/call-plugin.ts';
import type { Pod } from '../support/pod.ts';
import type { TestHost } from '../support/test-host.ts';
import { Attachment, type CallOptions, type NetworkConfig } from './attachment.ts';

/** A container that a network plugin has attached, and the plugin chained after it, which a test is about. */
export interface Chained {
  network: Attachment;
  chained: Attachment;
}

export interface ChainedOptions {
  /** The network plugin's configuration, less version and name, which are those of `config`. */
  network?: { type: string; [key: string]: unknown };
  /** Where the network plugin is looked for; ours unless given. */
  networkBin?: string;
  /** Where the chained plugin is looked for; ours unless given. */
  binDir?: string;
  ifname?: string;
  containerId?: string;
}

const hostLocal = { type: 'host-local', ranges: [[{ subnet: '10.42.0.0/24' }], [{ subnet: 'fd42::/64' }]] };

/** ADD of a network plugin, and a chained one that is ready to be called with its result. */
export const attachBefore = async (
  host: TestHost,
  pod: Pod,
  config: NetworkConfig,
  options: ChainedOptions = {},
): Promise<Chained> => {
  const { network = { type: 'ptp' }, networkBin = podwireBin, binDir = podwireBin } = options;
  const { ifname = 'eth0', containerId = newContainerId() } = options;
  const { cniVersion, name } = config;
  const call: CallOptions = { ifname, containerId };
  const first = new Attachment(
    host,
    pod,
    { cniVersion, name, ipam: hostLocal, ...network },
    { ...call, binDir: networkBin, path: [networkBin, podwireBin, referenceBin] },
  );
  await first.add();
  return { network: first, chained: new Attachment(host, pod, config, { ...call, binDir }) };
};

/** ADD of the chained plugin with the network plugin's result; throws with its error when it fails. */
export const addChained = async ({ network, chained }: Chained): Promise<PrintedResult> => {
  chained.result = expectResult(await attemptChained({ network, chained }));
  return chained.result;
};

/** The same, whatever the outcome. */
export const attemptChained = ({ network, chained }: Chained, options: CallOptions = {}) =>
  chained.attempt('ADD', { config: { ...chained.config, prevResult: network.result }, ...options });

/** DEL of both, as a runtime does it. */
export const delChained = async ({ network, chained }: Chained): Promise<void> => {
  await chained.del();
  await network.del();
};

/** GC of a network, with the containers to keep; no output is expected. */
export const collect = async (
  host: TestHost,
  config: NetworkConfig,
  kept: Pick<Attachment, 'containerId' | 'ifname'>[],
): Promise<void> => {
  const list = kept.map(({ containerId, ifname }) => ({ containerID: containerId, ifname }));
  const gc = new Attachment(host, '', config, { ifname: '', containerId: '' });
  const outcome = await gc.attempt('GC', {
    config: { ...config, 'cni.dev/valid-attachments': list },
    env: { CNI_NETNS: undefined },
  });
  expect(outcome).toMatchObject({ exitCode: 0, stdout: '', stderr: '' });
};
