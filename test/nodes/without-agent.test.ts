import { mkdirSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { requireKernel } from '../support/needs.ts';
import { netnsOf, podsOf, sameFamily } from './lab/cluster.ts';
import { createLab, type Lab, registryFile } from './lab/lab.ts';
import { outside } from './lab/plan.ts';
import { exchanges, faults, type Party, podParty } from './lab/reach.ts';

// An overlay by the plugin alone: no agent runs, and `podwire run` on each node is all that is called.
let lab: Lab | undefined;
beforeEach((context) => requireKernel(context, 'vxlan', 'ipv6'));
afterEach(() => lab?.dispose());

const directory = '/run/net.d';

/** The same configuration on every node; each finds itself among the nodes by its addresses. */
const configure = (of: Lab, keys: object): void => {
  const plugin = {
    type: 'vxlan',
    ipMasq: true,
    ipam: { type: 'host-local', routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }] },
    ...keys,
  };
  for (const { host } of of.nodes) {
    mkdirSync(host.path(directory), { recursive: true });
    const network = { cniVersion: '1.1.0', name: 'overlay', plugins: [plugin] };
    writeFileSync(host.path(`${directory}/10-test.conflist`), JSON.stringify(network));
  }
};

test.for<[string, (of: Lab) => object]>([
  ['peers of a file, a veth for each pod', ({ directory }) => ({ peers: registryFile(directory) })],
  [
    'peers in the configuration, pods on a bridge',
    ({ nodes }) => ({ attach: 'bridge', peers: nodes.map(({ entry }) => entry) }),
  ],
])('%s', async ([, keys]) => {
  lab = await createLab();
  configure(lab, keys(lab));
  for (const node of lab.nodes) {
    await Promise.all(['a', 'b'].map((name) => node.addPod(`${node.name}-${name}`, directory)));
  }
  await lab.prober.serve([lab.outside.netnsPath, ...podsOf(lab).map(netnsOf)]);
  const pods = podsOf(lab).map(podParty);
  expect(await faults(lab, exchanges(pods, pods))).toEqual([]);
  const world: Party = {
    name: 'outside',
    netns: lab.outside.netnsPath,
    addresses: [outside.ipv4, outside.ipv6],
  };
  const outward = exchanges(pods, [world], (from, _to, address) => {
    const node = lab?.nodes.find(({ pods: own }) => own.some(({ name }) => name === from.name));
    return [sameFamily(node?.entry.addresses ?? [], address) ?? ''];
  });
  expect(await faults(lab, outward)).toEqual([]);
});
