import { expect, test } from 'vitest';
import { call, createPluginHost, expectError, expectSilent, networks } from '../protocol/calls.ts';
import { leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { waitUntil } from '../support/wait-until.ts';
import { breakTool, brokenEnv, mendTools, ofDel, ofHost, ofPod } from './broken-tools.ts';

const kept = [/ cni0( |$)/, /^nft .* podwire_masquerade/, /PODWIRE-[A-Z]+$/, /-A POSTROUTING .*-j PODWIRE/];

// It starts a child of its own, and neither ends when asked to.
const hang = "trap '' TERM INT; sleep 1234 & while :; do sleep 1234; done";

const nftables = { ...networks.bridge, ipMasqBackend: 'nftables' };
const iptables = { ...networks.bridge, ipMasqBackend: 'iptables' };
const rows = [
  { command: 'ADD', tool: 'ip', config: networks.bridge, when: ofHost },
  { command: 'ADD', tool: 'ip', config: networks.bridge, when: ofPod },
  { command: 'ADD', tool: 'nft', config: nftables, when: '*' },
  { command: 'ADD', tool: 'iptables-restore', config: iptables, when: '*' },
  { command: 'DEL', tool: 'ip', config: networks.bridge, when: ofDel },
  { command: 'DEL', tool: 'nft', config: nftables, when: '*' },
];

// At once and each on its own host, as each takes the 20 seconds that a tool is given.
test('a tool that hangs is killed with all it started: code 100, and nothing is left', async () => {
  await Promise.all(
    rows.map(async ({ command, tool, config, when }) => {
      await using host = await createPluginHost(`${command}-${tool}`);
      await host.addPod('pod');
      const before = await snapshot(host);
      const container = { plugin: 'bridge', config, containerId: 'patient' };
      if (command === 'DEL') expectSilent(await call(host, container));
      await breakTool(host, tool, when, hang);
      const title = `${command} ${tool} ${when}`;
      const outcome = await call(host, { ...container, command, env: brokenEnv, timeout: 55_000 });
      expect({ title, ended: outcome.exitCode }).toEqual({ title, ended: 1 });
      expectError(outcome, 100, tool, '20 s');
      await mendTools(host);
      await waitUntil(`nothing of ${title} runs on`, async () => {
        const list = ['pgrep', '--ns', String(host.pid), '--nslist', 'mnt', 'sleep'];
        return (await host.attempt(list)).stdout === '';
      });
      if (command === 'DEL') expectSilent(await call(host, { ...container, command }));
      expect({ title, ...leftovers(before, await snapshot(host), kept) }).toEqual({ title, ...nothing });
    }),
  );
});
