import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { requireTool } from '../support/needs.ts';
import { leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { attachPod } from './attachment.ts';

const ranges = [[{ subnet: '10.13.0.0/24' }], [{ subnet: 'fd13::/64' }]];
const routes = [{ dst: '0.0.0.0/0' }, { dst: '::/0' }];

/** One echo request, answered at once or not at all: nothing is tried again. */
const pingOnce = ['ping', '-n', '-q', '-c', '1', '-W', '1'];

/** The addresses of two pods, and the gateways that IPAM leaves to the plugin. */
const withoutGateway = [
  { what: 'only IPv6', pods: [['fd13::5/64'], ['fd13::6/64']], gateways: ['fd13::1'] },
  {
    what: 'no gateway',
    pods: [
      ['10.13.0.5/24', 'fd13::5/64'],
      ['10.13.0.6/24', 'fd13::6/64'],
    ],
    gateways: ['10.13.0.1', 'fd13::1'],
  },
  {
    what: 'a single address',
    pods: [
      ['10.13.0.5/32', 'fd13::5/128'],
      ['10.13.0.6/32', 'fd13::6/128'],
    ],
    gateways: ['169.254.1.1', 'fe80::1'],
  },
  {
    what: 'a pair of addresses',
    pods: [
      ['10.13.0.4/31', 'fd13::4/127'],
      ['10.13.0.6/31', 'fd13::6/127'],
    ],
    gateways: ['169.254.1.1', 'fe80::1'],
  },
  {
    what: "the gateway's address",
    pods: [
      ['10.13.0.1/24', 'fd13::1/64'],
      ['10.14.0.1/24', 'fd14::1/64'],
    ],
    gateways: ['169.254.1.1', 'fe80::1'],
  },
];

describe.for(['veth', 'ptp'])('pods behind a %s', (type) => {
  let host: TestHost;
  beforeEach(async (context) => {
    requireTool(context, 'ping');
    host = await createHost({ name: 'veth' });
  });
  afterEach(() => host?.dispose());

  const config = { cniVersion: '1.1.0', name: 'routed', type, ipam: { type: 'host-local', ranges, routes } };

  test('reach gateway and each other by the first packet, and the host reaches them', async () => {
    const a = await attachPod(host, 'a', config);
    const b = await attachPod(host, 'b', config);
    const c = await attachPod(host, 'c', config);
    expect(new Set([a, b, c].map(({ attachment }) => attachment.port)).size).toBe(3);
    for (const [from, to] of [
      [a, b],
      [b, c],
      [c, a],
    ] as const) {
      for (const address of to.attachment.addresses) await from.pod.exec([...pingOnce, address]);
    }
    for (const { attachment, pod } of [a, b, c]) {
      for (const address of attachment.addresses) await host.exec([...pingOnce, address]);
      for (const address of ['10.13.0.1', 'fd13::1']) await pod.exec([...pingOnce, address]);
      await attachment.check();
    }
    await b.attachment.del();
    await a.pod.exec([...pingOnce, c.attachment.address()]);
    await c.attachment.check();
  });

  test('are reached by IPv6 from elsewhere as soon as they are there', async () => {
    // The host has to ask for the pod's MAC in its own name, which needs a usable link-local address.
    const a = await attachPod(host, 'a', config);
    for (const index of [1, 2, 3]) {
      const { attachment } = await attachPod(host, `new${index}`, config);
      await a.pod.exec([...pingOnce, attachment.address(6)]);
    }
  });

  test.for(withoutGateway)('to which IPAM gives $what', async ({ pods, gateways }) => {
    const before = await snapshot(host);
    const attached = [];
    for (const [index, list] of pods.entries()) {
      const hasFamily = ({ dst }: { dst: string }): boolean =>
        list.some((address) => address.includes(':') === dst.includes(':'));
      const addresses = list.map((address) => ({ address }));
      const ipam = { type: 'static', addresses, routes: routes.filter(hasFamily) };
      attached.push(await attachPod(host, `pod${index}`, { ...config, ipam }));
    }
    for (const { attachment, pod } of attached) {
      expect(attachment.result?.ips?.map(({ gateway }) => gateway)).toEqual(gateways);
      for (const gateway of gateways) {
        await pod.exec([...pingOnce, gateway.startsWith('fe80') ? `${gateway}%eth0` : gateway]);
      }
      for (const address of attachment.addresses) {
        await host.exec([...pingOnce, address]);
        for (const other of attached) if (other.pod !== pod) await other.pod.exec([...pingOnce, address]);
      }
    }
    for (const { attachment, pod } of attached) {
      await attachment.check();
      await attachment.del();
      await pod.remove();
    }
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);
  });
});
