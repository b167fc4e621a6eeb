import { podwireBin } from '../support/binaries.ts';
import { type Running, startProcess, systemPath } from '../support/process.ts';

/** How cluster-ipam is called on one of several nodes that are all this machine: each has a directory of its own. */
export interface PluginNode {
  name: string;
  dataDir: string;
  /** `ipam.datastore` of the configuration. */
  datastore: object;
  /** Further keys of `ipam`. */
  keys?: object;
}

export interface Ended {
  /** Undefined when a signal ended it. */
  exitCode: number | undefined;
  addresses: string[];
  code: number | undefined;
  text: string;
}

export const network = 'pods';

/** Starts a call of the executable; `ended` never rejects. */
export const startCall = (
  { name, dataDir, datastore, keys }: PluginNode,
  command: string,
  containerId: string,
  args = '',
): { running: Running; ended: Promise<Ended> } => {
  const ipam = { type: 'cluster-ipam', nodeName: name, dataDir, datastore, ...keys };
  const running = startProcess([`${podwireBin}/cluster-ipam`], {
    stdin: JSON.stringify({
      cniVersion: '1.1.0',
      name: network,
      type: 'bridge',
      ipam,
      // For GC: no container is left.
      'cni.dev/valid-attachments': [],
    }),
    env: {
      PATH: systemPath,
      CNI_COMMAND: command,
      CNI_CONTAINERID: containerId,
      CNI_NETNS: `/run/netns/${containerId}`,
      CNI_IFNAME: 'eth0',
      CNI_PATH: podwireBin,
      CNI_ARGS: args,
    },
    timeout: 60_000,
  });
  const ended = running.outcome.then(({ exitCode, stdout, stderr }): Ended => {
    const printed = exitCode === undefined || stdout === '' ? {} : JSON.parse(stdout);
    return {
      exitCode,
      addresses: (printed.ips ?? []).map(({ address }: { address: string }) => address.replace(/\/.*/, '')),
      code: printed.code,
      text: `${stdout}${stderr}`,
    };
  });
  return { running, ended };
};

/** A call that is expected to succeed; its addresses. */
export const call = async (
  node: PluginNode,
  command: string,
  containerId: string,
  args?: string,
): Promise<string[]> => {
  const { exitCode, addresses, text } = await startCall(node, command, containerId, args).ended;
  if (exitCode !== 0) throw new Error(`${command} of ${containerId} on ${node.name}: ${text}`);
  return addresses;
};
