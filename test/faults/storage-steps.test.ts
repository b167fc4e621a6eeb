import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  call,
  createPluginHost,
  expectError,
  expectSilent,
  networks,
  type PluginName,
} from '../protocol/calls.ts';
import { podwireBin } from '../support/binaries.ts';
import type { PluginOutcome } from '../support/call-plugin.ts';
import { systemPath } from '../support/process.ts';
import type { TestHost } from '../support/test-host.ts';

const reserved = '/var/lib/cni';
const records = '/run/podwire';

let host: TestHost;
beforeEach(async () => {
  host = await createPluginHost('storage-steps');
  await host.addPod('pod');
});
afterEach(() => host?.dispose());

/** Makes a small file system that has something on it: 0 would mean no limit. */
const mountSmall = (directory: string): Promise<string> =>
  host.shell(
    `mount -t tmpfs -o size=1m,nr_inodes=200,mode=755 small ${directory}; echo filler >${directory}/filler`,
  );

/** Leaves so many pages or inodes of it free. */
const leave = (directory: string, free: { pages?: number; inodes?: number }): Promise<string> =>
  host.shell(`
    set -- $(stat -f -c '%b %f %c %d' ${directory})
    pages=$(($1 - $2 + ${free.pages ?? 100})) inodes=$(($3 - $4 + ${free.inodes ?? 100}))
    mount -o remount,size=$((pages * 4))k,nr_inodes=$inodes ${directory}`);

/** What an attachment consists of, whoever's it is; empty when there is none. */
const traces = async (): Promise<string[]> => {
  const text = await host.shell(`
    ip -o link show type veth
    nsenter --net=/run/netns/pod ip -o link show type veth
    find ${reserved}/networks -name '10.*' 2>/dev/null || true
    find ${records}/attachments -type f 2>/dev/null || true
    nft list ruleset | grep 'comment "' | grep -v 'comment "podwire ' || true`);
  return text.split('\n').filter((line) => line !== '');
};

/** The address of an ADD that succeeded; undefined when it was refused as it may be. */
const addressOf = (outcome: PluginOutcome): string | undefined => {
  if (outcome.exitCode !== 0) {
    expectError(outcome, [5, 11]);
    return undefined;
  }
  return outcome.result?.ips?.[0]?.address;
};

/** ADDs until one succeeds, each with a little more room; every one that fails leaves nothing. */
const stepUp = async (
  plugin: PluginName,
  most: number,
  limit: (step: number) => Promise<unknown>,
  free: () => Promise<unknown>,
  add: (containerId: string) => Promise<PluginOutcome>,
): Promise<number> => {
  for (let step = 0; step <= most; step++) {
    const containerId = `step${step}`;
    await limit(step);
    const address = addressOf(await add(containerId));
    if (address === undefined) expect({ step, traces: await traces() }).toEqual({ step, traces: [] });
    // DEL works where ADD had no room, and so does that of a pod that got its address.
    expectSilent(await call(host, { plugin, containerId, command: 'DEL' }));
    expect({ step, traces: await traces() }).toEqual({ step, traces: [] });
    await free();
    if (address !== undefined) return step;
  }
  throw new Error(`still no room at step ${most}`);
};

describe('a disk with room for only some of the writes', () => {
  const rows = [
    { plugin: 'host-local', directory: reserved, what: 'pages', least: 2 },
    { plugin: 'host-local', directory: reserved, what: 'inodes', least: 4 },
    { plugin: 'bridge', directory: reserved, what: 'pages', least: 2 },
    { plugin: 'bridge', directory: records, what: 'pages', least: 1 },
    { plugin: 'bridge', directory: records, what: 'inodes', least: 2 },
    { plugin: 'veth', directory: records, what: 'inodes', least: 2 },
  ] as const;
  test.each(rows)(
    '$plugin: each number of $what of $directory',
    async ({ plugin, directory, what, least }) => {
      await mountSmall(directory);
      const enough = await stepUp(
        plugin,
        20,
        (step) => leave(directory, { [what]: step }),
        () => leave(directory, {}),
        (containerId) => call(host, { plugin, containerId }),
      );
      expect(enough).toBeGreaterThanOrEqual(least);
      // With a pod on it, which the full disk must not hurt.
      const lasting = await call(host, { plugin, containerId: 'lasting', ifname: 'lasting' });
      expectSilent(lasting);
      for (let step = 0; step <= 2; step++) {
        await leave(directory, { [what]: step });
        const address = addressOf(await call(host, { plugin, containerId: 'late' }));
        expect(address).not.toBe(lasting.result?.ips?.[0]?.address);
        expectSilent(await call(host, { plugin, containerId: 'late', command: 'DEL' }));
      }
      await leave(directory, { [what]: 0 });
      const config = { ...networks[plugin], prevResult: lasting.result };
      expectSilent(
        await call(host, { plugin, containerId: 'lasting', ifname: 'lasting', command: 'CHECK', config }),
      );
      expectSilent(await call(host, { plugin, containerId: 'lasting', ifname: 'lasting', command: 'DEL' }));
      expect(await traces()).toEqual([]);
    },
  );
});

describe('a limit on the size of files', () => {
  const limited = async (plugin: string, command: string, containerId: string, bytes: number) => {
    const env = {
      PATH: systemPath,
      CNI_COMMAND: command,
      CNI_CONTAINERID: containerId,
      CNI_NETNS: '/run/netns/pod',
      CNI_IFNAME: 'eth0',
      CNI_PATH: podwireBin,
    };
    const argv = ['prlimit', `--fsize=${bytes}`, '--core=0', `${podwireBin}/${plugin}`];
    return host.attempt(argv, { env, stdin: JSON.stringify(networks[plugin as PluginName]) });
  };
  // From nothing through the names of owners and addresses to seals and records.
  const sizes = [0, 1, 11, 14, 40, 120, 160, 200, 400, 700, 1200];

  test.each(['host-local', 'bridge'] as const)('%s: each write in turn is cut', async (plugin) => {
    let refused = 0;
    for (const bytes of sizes) {
      const containerId = `cut${bytes}`;
      const outcome = await limited(plugin, 'ADD', containerId, bytes);
      if (outcome.exitCode !== 0) {
        refused++;
        expect(JSON.parse(outcome.stdout)).toMatchObject({ code: 5 });
        expect({ bytes, traces: await traces() }).toEqual({ bytes, traces: [] });
      }
      // What was cut is not taken for the truth afterwards: the next one gets an address of its own.
      const next = { plugin, containerId: `next${bytes}`, ifname: 'next' };
      const address = (await call(host, next)).result?.ips?.[0]?.address;
      expect(address).toMatch(/^10\./);
      const deleted = await limited(plugin, 'DEL', containerId, bytes);
      expect({ bytes, stdout: deleted.stdout, exitCode: deleted.exitCode }).toEqual({
        bytes,
        stdout: '',
        exitCode: 0,
      });
      expectSilent(await call(host, { ...next, command: 'DEL' }));
      expect({ bytes, traces: await traces() }).toEqual({ bytes, traces: [] });
    }
    expect(refused).toBeGreaterThan(1);
    expect(refused).toBeLessThan(sizes.length);
  });
});
