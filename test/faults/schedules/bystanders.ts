import { existsSync } from 'node:fs';
import { referenceBin } from '../../support/binaries.ts';
import { callPlugin, expectResult } from '../../support/call-plugin.ts';
import type { TestHost } from '../../support/test-host.ts';

/** A network of the reference plugins, with masquerade by iptables, on a bridge of its own. */
const config = {
  cniVersion: '1.0.0',
  name: 'bystander',
  type: 'bridge',
  bridge: 'ref0',
  isGateway: true,
  ipMasq: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.49.0.0/24' }]] },
};

/**
 * Adds three pods of the reference plugins, which no call of ours must touch. Does nothing where these
 * plugins are not installed; then the pods have a bridge without them.
 */
export const addBystanders = async (host: TestHost): Promise<void> => {
  if (!existsSync(`${referenceBin}/bridge`)) return;
  for (const name of ['bystander-a', 'bystander-b', 'bystander-c']) {
    const netns = await host.addPod(name);
    expectResult(
      await callPlugin(host, {
        binDir: referenceBin,
        plugin: 'bridge',
        command: 'ADD',
        containerId: name,
        netns,
        config,
      }),
    );
  }
};
