import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { commandName, pluginNames } from '../../shared/cni/plugin-names.ts';
import { attachPod } from '../plugins/attachment.ts';
import { createRuntimeHost, lackingRuntime, type RuntimeHost } from '../real/runtime-host.ts';
import { skipFor } from '../support/needs.ts';
import { expectSuccess } from '../support/process.ts';
import { ping } from '../support/traffic.ts';
import { runContainer } from './container.ts';
import { imageArchive, type UnpackedImage, unpackImage } from './unpacked-image.ts';

// The image as `scripts/image` built it (with the network, which tests do not have), run with runc.
const lacking = existsSync(imageArchive)
  ? lackingRuntime()
  : `there is no image ${imageArchive}: scripts/image makes it`;

let runtime: RuntimeHost;
let directory: string;
let image: UnpackedImage;
beforeAll(async () => {
  if (lacking !== undefined) return;
  directory = mkdtempSync(join(tmpdir(), 'podwire-image-'));
  image = await unpackImage(imageArchive, directory);
  runtime = await createRuntimeHost('image', {});
}, 180_000);
afterAll(async () => {
  await runtime?.dispose();
  if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
});
beforeEach((context) => skipFor(context, lacking));

/** What a manifest has to mount for installing, and besides for removing. */
const installMounts = Object.fromEntries(
  ['/opt/cni/bin', '/etc/cni/net.d', '/var/lib/podwire'].map((path) => [`/host${path}`, path]),
);
const nodeMounts = {
  ...installMounts,
  ...{
    '/host/var/lib/cni': '/var/lib/cni',
    '/host/run/podwire': '/run/podwire',
    '/run/podwire': '/run/podwire',
  },
};
const installing = ['CHOWN', 'DAC_OVERRIDE', 'FOWNER'];
const removing = [...installing, 'NET_ADMIN', 'NET_RAW'];

describe('the image', () => {
  test('is labelled, starts the command, and holds this machine’s executable', () => {
    expect(image.architecture).toBe(process.arch === 'x64' ? 'amd64' : process.arch);
    expect(image.config.Entrypoint).toEqual(['/usr/local/bin/podwire']);
    expect(image.config.Labels).toMatchObject({
      'org.opencontainers.image.title': 'podwire',
      'org.opencontainers.image.licenses': 'Apache-2.0',
      'org.opencontainers.image.revision': expect.stringMatching(/^[0-9a-f]{12}(-modified)?$|^unversioned$/),
    });
  });

  test('tells its version to any user, with a read-only root and without capabilities', async () => {
    const outcome = await runContainer(runtime.host, image, { args: ['version', '--json'], user: 65534 });
    const { buildId } = JSON.parse(expectSuccess(outcome)) as { buildId: string };
    expect(buildId).toBe(image.config.Labels['org.opencontainers.image.revision']);
    const help = await runContainer(runtime.host, image, { args: image.config.Cmd, user: 65534 });
    expect(expectSuccess(help)).toContain('Commands:');
  });

  test.each([
    'ip -V',
    'bridge -V',
    'tc -V',
    'nft --version',
    'iptables-nft --version',
    'iptables-legacy --version',
  ])('has a working %s', async (command) => {
    const options = { entrypoint: ['/bin/sh', '-c'], args: [command] };
    expectSuccess(await runContainer(runtime.host, image, options));
  });

  test('has certificates, and nothing that the build needed', async () => {
    const found = (path: string): boolean => existsSync(join(image.rootfs, path));
    expect(found('etc/ssl/certs/ca-certificates.crt')).toBe(true);
    for (const path of ['src', 'usr/bin/node', 'usr/bin/npm', 'root/.npmrc', 'run/host-certificates.crt']) {
      expect(found(path), path).toBe(false);
    }
    expect(found('etc/apt/apt.conf.d/99build')).toBe(false);
  });

  test('installs on the node; pods come and go by what it installed; and it takes everything back', async () => {
    const { host } = runtime;
    const run = (capabilities: string[], mounts: Record<string, string>, ...args: string[]) =>
      runContainer(host, image, { args: [...args, '--host-root', '/host', '--json'], mounts, capabilities });
    const install = async (...args: string[]): Promise<{ action: string; names: string[] }> =>
      JSON.parse(expectSuccess(await run(installing, installMounts, 'install', ...args)));
    await host.shell('mkdir -p /var/lib/podwire; echo theirs >/opt/cni/bin/ptp');
    expect((await install('--takeover')).names).toEqual([commandName, ...pluginNames]);
    const network = {
      cniVersion: '1.1.0',
      name: 'pods',
      type: 'bridge',
      bridge: 'podwire0',
      isGateway: true,
      ipMasq: true,
      portmap: { backend: 'iptables' },
      runtimeConfig: { portMappings: [{ hostPort: 8088, containerPort: 80, protocol: 'tcp' }] },
      ipam: { type: 'host-local', ranges: [[{ subnet: '10.66.0.0/24' }]] },
    };
    const installed = { binDir: '/opt/cni/bin', path: ['/opt/cni/bin'] };
    const one = await attachPod(host, 'one', { ...network, runtimeConfig: {} }, installed);
    const two = await attachPod(host, 'two', network, installed);
    const address = two.attachment.address();
    expect(await ping(one.pod, address)).toBe(true);
    // The init container of a restarted DaemonSet.
    expect(await install()).toMatchObject({ action: 'unchanged' });

    // However little of the node it is shown: it sees the pods by their interfaces, or says what it lacks.
    const { '/run/podwire': _, ...withoutOwnRun } = nodeMounts;
    for (const [mounts, code, msg] of [
      [installMounts, 103, /2 attachments of running pods/],
      [withoutOwnRun, 7, /\/run\/podwire is not the node's/],
      [nodeMounts, 103, /2 attachments of running pods/],
    ] as const) {
      const { exitCode, stdout } = await run(removing, mounts, 'uninstall');
      expect(exitCode).toBe(1);
      expect(JSON.parse(stdout)).toMatchObject({ code, msg: expect.stringMatching(msg) });
    }
    expect(await ping(one.pod, address)).toBe(true);

    await one.attachment.del();
    await host.shell('ip netns del two');
    await expect.poll(() => host.shell('ip -o link show type veth'), { timeout: 5000 }).toBe('');
    expect(await host.shell('iptables-save -t nat')).toContain('CNI-DN-');
    expectSuccess(await run(removing, nodeMounts, 'uninstall'));
    expect(await host.shell('ls -A /opt/cni/bin; cat /opt/cni/bin/ptp')).toBe('ptp\ntheirs\n');
    expect(await host.shell('find /run/podwire /var/lib/podwire -mindepth 1')).toBe('');
    expect(await host.shell('nft list tables; iptables-save; ip -o link show type bridge')).not.toMatch(
      /podwire|CNI-/,
    );
  });
});
