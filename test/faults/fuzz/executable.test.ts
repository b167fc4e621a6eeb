import { readdirSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ErrorCode } from '../../../shared/cni/errors.ts';
import { createPluginHost } from '../../protocol/calls.ts';
import { podwireBin } from '../../support/binaries.ts';
import type { PluginOutcome } from '../../support/call-plugin.ts';
import {
  keptBridge,
  keptOverlay,
  keptPortmapChains,
  leftovers,
  nothing,
  type Snapshot,
  snapshot,
} from '../../support/snapshot.ts';
import type { TestHost } from '../../support/test-host.ts';
import { addUnderlay } from '../../support/underlay.ts';
import { type FuzzedCall, fuzzedCall, make } from './executable-call.ts';
import { chainedHostEnd, fuzzedPlugins } from './fuzzed-plugins.ts';
import { seed, settings } from './settings.ts';

console.log(`fuzzing with seed ${seed}`);

const codes: readonly number[] = Object.values(ErrorCode).filter((code) => code !== ErrorCode.internal);
const workers = 3;
const runs = 80;
const lookEvery = 8;

test('every plugin of the executable has a row in the table', () => {
  const rows = ['podwire', ...fuzzedPlugins.map(({ type }) => type)];
  expect(rows.toSorted()).toEqual(readdirSync(podwireBin).toSorted());
});

test(`${workers * runs} spoilt calls of the executable: one result or one error each, and nothing left`, async () => {
  const all = Array.from({ length: workers }, (_, worker) => fuzz(worker));
  for (const outcome of await Promise.allSettled(all))
    if (outcome.status === 'rejected') throw outcome.reason;
}, 600_000);

/** Makes calls on a host of its own, one after the other. */
const fuzz = async (worker: number): Promise<void> => {
  await using host = await createPluginHost(`fuzz${worker}`);
  await host.addPod('pod');
  await addUnderlay(host);
  // A configuration may name any path. Only the host's own /run and /var/lib can be written.
  await host.shell('mkdir /run/fuzz; mount -o remount,bind,ro /');
  const before = await snapshot(host);
  let count = 0;
  const property = fc.asyncProperty(fuzzedCall, async (call) => {
    await inChain(host, call, () => callAndUndo(host, call));
    count += 1;
    if (count % lookEvery === 0) await expectNothingLeft(host, before);
  });
  await fc.assert(property, settings(runs, worker));
  await expectNothingLeft(host, before);
};

/** A plugin that is chained to another finds an interface, which goes after its DEL. */
const inChain = async (host: TestHost, { plugin }: FuzzedCall, work: () => Promise<void>): Promise<void> => {
  const { chainedTo } = fuzzedPlugins.find(({ type }) => type === plugin) ?? {};
  if (chainedTo === undefined) return work();
  await host.shell(`ip link add ${chainedHostEnd} up type veth peer name ${chainedTo} netns pod
    ip -n pod addr add 10.80.0.2/16 dev ${chainedTo}; ip -n pod link set ${chainedTo} up`);
  try {
    await work();
  } finally {
    await host.exec(['ip', 'link', 'del', chainedHostEnd]);
  }
};

/** What ADD made must pass CHECK and go with DEL. */
const callAndUndo = async (host: TestHost, call: FuzzedCall): Promise<void> => {
  const outcome = await make(host, call);
  expectProtocol(call, outcome);
  if (call.verb !== 'ADD' || outcome.exitCode !== 0) return;
  const config = JSON.parse(new TextDecoder().decode(call.stdin)) as object;
  const cniVersion = outcome.result?.cniVersion ?? '';
  if (cniVersion >= '0.4.0') {
    const stdin = new TextEncoder().encode(JSON.stringify({ ...config, prevResult: outcome.result }));
    expectDone(await make(host, { ...call, verb: 'CHECK', stdin }), 'CHECK after ADD');
  }
  expectDone(await make(host, { ...call, verb: 'DEL' }), 'DEL after ADD');
};

const expectDone = ({ exitCode, stdout, stderr }: PluginOutcome, what: string): void =>
  expect({ what, exitCode, stdout, stderr }).toEqual({ what, exitCode: 0, stdout: '', stderr: '' });

const expectProtocol = ({ verb }: FuzzedCall, outcome: PluginOutcome): void => {
  const { exitCode, signal, timedOut, stdout, stderr, result, error } = outcome;
  expect({ signal, timedOut }).toEqual({ signal: undefined, timedOut: false });
  // Without a verb, it tells what it is.
  if (verb === '') {
    expect(stderr).toMatch(/^CNI \S+ plugin podwire/);
    return;
  }
  expect(stderr).toBe('');
  if (exitCode === 0) {
    if (verb === 'ADD' || verb === 'VERSION') expect(result?.cniVersion).toMatch(/^\d+\.\d+\.\d+$/);
    else expect(stdout).toBe('');
    return;
  }
  expect(exitCode).toBe(1);
  expect(codes, stdout).toContain(error?.code);
  expect(error?.msg).toMatch(/^[^\p{Cc}\u2028\u2029]{1,1000}$/u);
  expect(stdout.length).toBeLessThan(20_000);
  expect(
    Object.keys(error ?? {}).filter((key) => !['cniVersion', 'code', 'msg', 'details'].includes(key)),
  ).toEqual([]);
};

/** What pods share of the firewall: all of it but the addresses of a pod. */
const keptFirewall = [
  /^nft (table|set|map|chain|rule) inet podwire_firewall( |$)/,
  /^nft element inet podwire_firewall (guarded|within) .*"comment":"shared"/,
  /^ip6?tables-\S+ filter (:|-A (?!CNI-FORWARD -[sd] ))/,
  /^nft (chain|rule) ip6? filter /,
];

/** Bridges stay, whatever their names are. */
const expectNothingLeft = async (host: TestHost, before: Snapshot): Promise<void> => {
  const now = await snapshot(host);
  const bridges = now.flatMap((line) => /^link (\S+) bridge /.exec(line)?.[1] ?? []);
  const kept = bridges.flatMap((name) => keptBridge(name.replaceAll(/[^\w]/g, '\\$&')));
  expect(leftovers(before, now, [...kept, ...keptOverlay, ...keptFirewall, ...keptPortmapChains])).toEqual(
    nothing,
  );
  const reserved = await host.shell(
    "find /run/fuzz -type f ! -name lock ! -name 'last_reserved_ip.*' ! -path '*/.podwire/*'",
  );
  expect(reserved).toBe('');
};
