import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { expectDone } from '../support/call-plugin.ts';
import { requireKernel } from '../support/needs.ts';
import { leftovers, nothing, snapshot } from '../support/snapshot.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { Attachment, attachPod, type NetworkConfig } from './attachment.ts';

const common = {
  cniVersion: '1.1.0',
  name: 'status',
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.11.0.0/24', rangeEnd: '10.11.0.2' }]] },
};

/** Puts nothing in the place of a program, for what runs in this host. */
const hide = (program: string): string =>
  `for d in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin; do
     p=$(readlink -f $d/${program}) && [ -f "$p" ] && ! mountpoint -q "$p" && mount --bind /dev/null "$p" || true
   done`;

describe.for(['bridge', 'ptp'])('STATUS of %s', (type) => {
  let host: TestHost;
  beforeEach(async () => {
    host = await createHost({ name: 'status' });
  });
  afterEach(() => host.dispose());

  const config: NetworkConfig = { ...common, type };
  const status = (json: NetworkConfig, path?: string[]) =>
    new Attachment(host, '', json).attempt('STATUS', {
      config: json,
      ...(path && { path }),
      env: { CNI_CONTAINERID: undefined, CNI_IFNAME: undefined, CNI_NETNS: undefined },
    });

  test('is good, and changes nothing', async () => {
    const before = await snapshot(host);
    for (const extra of [{}, { ipMasq: true }, { ipMasq: true, ipMasqBackend: 'iptables' }]) {
      const outcome = await status({ ...config, ...extra });
      expectDone(outcome);
      expect(outcome.stdout).toBe('');
    }
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);
  });

  test('tells that all addresses are taken, and when one is free again', async () => {
    const { attachment } = await attachPod(host, 'pod', config);
    const { error } = await status(config);
    expect(error).toMatchObject({ code: 50, msg: expect.stringContaining('10.11.0.') });
    await attachment.del();
    expectDone(await status(config));
  });

  test.for([
    { hidden: 'ip', extra: {}, code: 50 },
    { hidden: 'nft', extra: { ipMasq: true, ipMasqBackend: 'nftables' }, code: 50 },
    { hidden: 'nft', extra: { ipMasq: true }, code: undefined },
    { hidden: 'nft', extra: {}, code: undefined },
    { hidden: 'iptables-restore', extra: { ipMasq: true, ipMasqBackend: 'iptables' }, code: 50 },
    { hidden: 'iptables-restore', extra: { ipMasq: true }, code: undefined },
  ])('without $hidden, $extra: $code', async ({ hidden, extra, code }, context) => {
    requireKernel(context, 'nftables');
    const pod = await host.addPod('pod');
    await host.shell(hide(hidden));
    const outcome = await status({ ...config, ...extra });
    if (code === undefined) return expectDone(outcome);
    expect(outcome.error).toMatchObject({ code, msg: expect.stringContaining(hidden) });
    // What STATUS says is what ADD then meets; it leaves nothing.
    const attachment = new Attachment(host, pod, { ...config, ...extra });
    expect((await attachment.attempt('ADD')).error?.code).toBeGreaterThan(0);
  });

  test('is that of the IPAM plugin, found or not', async () => {
    const missing = await status({ ...config, ipam: { type: 'not-there' } });
    expect(missing.error).toMatchObject({ code: 101, msg: expect.stringContaining('not-there') });
    await host.shell(`mkdir /run/plugins
      cat >/run/plugins/fake <<'EOT'
#!/bin/sh
cat >/run/stdin
echo $CNI_COMMAND >>/run/calls
[ ! -e /run/broken ] || { cat /run/broken; exit 1; }
EOT
      chmod 755 /run/plugins/fake`);
    const fake = { ...config, ipam: { type: 'fake', mine: 1 } };
    expectDone(await status(fake, ['/run/plugins']));
    expect(await host.exec(['cat', '/run/calls'])).toBe('STATUS\n');
    expect(JSON.parse(await host.exec(['cat', '/run/stdin']))).toEqual(fake);
    await host.shell(`echo '{"code": 51, "msg": "half of it is on fire"}' >/run/broken`);
    const { error } = await status(fake, ['/run/plugins']);
    expect(error).toMatchObject({ code: 51, msg: 'half of it is on fire' });
  });

  test('tells that the name of the bridge is taken, where there is one', async () => {
    await host.exec(['ip', 'link', 'add', 'cni0', 'type', 'ifb']);
    const outcome = await status(config);
    if (type === 'ptp') expectDone(outcome);
    else expect(outcome.error).toMatchObject({ code: 50, msg: expect.stringContaining('"cni0"') });
  });

  test('is not known before 1.1.0', async () => {
    expect((await status({ ...config, cniVersion: '1.0.0' })).error?.code).toBe(1);
  });
});
