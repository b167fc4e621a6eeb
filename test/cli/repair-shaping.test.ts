import { afterAll, beforeAll, expect, test } from 'vitest';
import { repair } from '../faults/repair-call.ts';
import { addChained, attachBefore, type Chained } from '../plugins/chained.ts';
import { expectPlugins, podwireBin } from '../support/binaries.ts';
import { lackingKernel, lackingTools, skipFor } from '../support/needs.ts';
import { createHost, type TestHost } from '../support/test-host.ts';

const config = {
  cniVersion: '1.1.0',
  name: 'limited',
  type: 'bandwidth',
  ingressRate: 8_000_000,
  egressRate: 16_000_000,
  unshapedSubnets: ['10.0.0.0/8'],
};
const lacking = lackingTools('tc') ?? lackingKernel('ifb');

let host: TestHost;
let chain: Chained;
let ifb: string;
beforeAll(async () => {
  if (lacking !== undefined) return;
  expectPlugins(podwireBin, 'podwire', 'ptp', 'bandwidth');
  host = await createHost({ name: 'repair-shaping' });
  chain = await attachBefore(host, await host.addPod('pod'), config);
  ifb = (await addChained(chain)).interfaces?.at(-1)?.name ?? '';
});
afterAll(() => host?.dispose());

const run = (script: string): Promise<string> =>
  host.shell(script.replaceAll('$P', chain.network.port).replaceAll('$I', ifb));

test.for([
  { damage: 'tc qdisc del dev $P root', found: /sends to the container: there is no htb/ },
  { damage: 'tc qdisc del dev $P ingress', found: /2 of 2 filters are missing/ },
  { damage: 'ip link del $I', found: /the ifb "bwp\w+" is missing; .*filters are missing/ },
  { damage: 'tc qdisc del dev $I root', found: /container sends by "bwp\w+": there is no token bucket/ },
])('puts back what was removed: $damage', async ({ damage, found }, context) => {
  skipFor(context, lacking);
  await run(damage);
  const report = await repair(host);
  expect(report).toMatchObject({ exitCode: 0, failed: [], skipped: [] });
  expect(report.repaired).toEqual([
    expect.objectContaining({ plugin: 'bandwidth', network: 'limited', what: expect.stringMatching(found) }),
  ]);
  await chain.chained.check();
  expect(await repair(host)).toMatchObject({ exitCode: 0, repaired: [] });
});

test('leaves alone what somebody else put in its place', async (context) => {
  skipFor(context, lacking);
  await run('tc qdisc del dev $P root; tc qdisc add dev $P root pfifo');
  const { failed } = await repair(host);
  expect(failed).toEqual([
    expect.objectContaining({ why: expect.stringContaining('somebody else set "pfifo"') }),
  ]);
  expect(await run('tc qdisc show dev $P root')).toContain('pfifo');
  await run('tc qdisc del dev $P root');
  await repair(host);
  await chain.chained.check();
});
