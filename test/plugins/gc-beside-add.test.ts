import { expect, test } from 'vitest';
import { expectDone } from '../support/call-plugin.ts';
import { keptBridge, leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { createHost } from '../support/test-host.ts';
import { Attachment } from './attachment.ts';

const ipam = { type: 'host-local', ranges: [[{ subnet: '10.11.0.0/24' }], [{ subnet: 'fd11::/64' }]] };
const common = { cniVersion: '1.1.0', name: 'beside', ipMasq: true, ipam };
const rows = [
  { ...common, type: 'bridge', isGateway: true, macspoofchk: true, ipMasqBackend: 'nftables' },
  { ...common, type: 'bridge', isGateway: true, ipMasqBackend: 'iptables' },
  { ...common, type: 'ptp' },
];

// The specification tells the runtime to hold back ADD while GC runs (SPEC.md, "Lifecycle & Ordering"); one
// that does not should not lose the pods that came after it had made its list.
test.for(rows)('GC of $type leaves attachments that began after its list was made', async (config) => {
  await using host = await createHost({ name: 'beside' });
  const pods = await Promise.all(['a', 'b', 'c', 'd'].map((name) => host.addPod(name)));
  const before = await snapshot(host);
  for (let round = 0; round < 4; round += 1) {
    const list = { ...config, 'cni.dev/valid-attachments': [] };
    const collection = new Attachment(host, '', config).attempt('GC', { config: list });
    const attachments = pods.map((pod) => new Attachment(host, pod, config));
    await Promise.all(attachments.map((attachment) => attachment.add()));
    expectDone(await collection);
    await Promise.all(attachments.map((attachment) => attachment.check()));
    await Promise.all(attachments.map((attachment) => attachment.del()));
  }
  expect(leftovers(before, await snapshot(host), keptBridge('cni0'))).toEqual(nothing);
});
