import { afterEach, beforeEach, expect, test } from 'vitest';
import { expectDone } from '../support/call-plugin.ts';
import { requireTool } from '../support/needs.ts';
import { leftovers, nothing, type Snapshot, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { Attachment, attachPod } from './attachment.ts';

// With iptables, all interfaces of a container on a network share one chain, as with the reference.
const config = {
  cniVersion: '1.1.0',
  name: 'twice',
  type: 'bridge',
  ipMasq: true,
  ipMasqBackend: 'iptables',
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.6.0.0/24' }], [{ subnet: 'fd06::/64' }]] },
};

let host: TestHost;
let first: Attachment;
let second: Attachment;
let withFirst: Snapshot;
beforeEach(async (context) => {
  requireTool(context, 'iptables');
  host = await createHost({ name: 'twice' });
  const { pod, attachment } = await attachPod(host, 'pod', config);
  first = attachment;
  withFirst = await snapshot(host);
  second = new Attachment(host, pod, config, { containerId: first.containerId, ifname: 'eth1' });
  await second.add();
});
afterEach(() => host?.dispose());

// The index of addresses has both interfaces in one file.
const onlyFirstIsThere = async (): Promise<void> => {
  await first.check();
  const left = leftovers(withFirst, await snapshot(host), [/\/\.podwire\/twice\//]);
  expect(left).toEqual(nothing);
};

test('a repeated DEL of one interface leaves the masquerade of the other', async () => {
  await second.del();
  await onlyFirstIsThere();
  await second.del();
  await second.del({ config: { ...config, prevResult: undefined }, env: { CNI_NETNS: '' } });
  await onlyFirstIsThere();
});

test('GC of one interface takes its masquerade and leaves that of the other', async () => {
  const valid = [{ containerID: first.containerId, ifname: first.ifname }];
  expectDone(await first.attempt('GC', { config: { ...config, 'cni.dev/valid-attachments': valid } }));
  await onlyFirstIsThere();
});
