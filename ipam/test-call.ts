import { parseConfig } from '../shared/cni/config.ts';
import { parseEnvironment } from '../shared/cni/environment.ts';
import type { Call, Command } from '../shared/cni/plugin.ts';
import type { JsonObject } from '../shared/cni/types.ts';

export interface TestCall {
  /** What stands on stdin; `cniVersion`, `name` and `type` have defaults. */
  config: JsonObject;
  command?: Command;
  containerId?: string;
  ifname?: string;
  netns?: string;
  /** CNI_ARGS. */
  args?: string;
}

/** A plugin call as the dispatcher would make it, for tests: through the real parsers. */
export const testCall = ({ config, command = 'ADD', ...given }: TestCall): Call => {
  const json = { cniVersion: '1.1.0', name: 'testnet', type: 'bridge', ...config };
  const stdin = new TextEncoder().encode(JSON.stringify(json));
  return {
    env: parseEnvironment({
      CNI_COMMAND: command,
      CNI_CONTAINERID: given.containerId ?? 'container-1',
      CNI_IFNAME: given.ifname ?? 'eth0',
      CNI_NETNS: given.netns ?? '/run/netns/none-of-that-name',
      CNI_PATH: '/usr/lib/cni',
      CNI_ARGS: given.args,
    }),
    config: parseConfig(stdin, command, '0.1.0'),
    stdin,
    findBuiltin: () => undefined,
    checkpoint: async () => {},
  };
};
