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

/** What a manifest has to mount for installing and removing. */
const nodeMounts = {
  '/host/opt/cni/bin': '/opt/cni/bin',
  '/host/etc/cni/net.d': '/etc/cni/net.d',
  '/host/var/lib': '/var/lib',
  '/host/run': '/run',
};
const installing = ['CHOWN', 'DAC_OVERRIDE', 'FOWNER'];

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
    const container = async (capabilities: string[], ...args: string[]): Promise<string> =>
      expectSuccess(
        await runContainer(host, image, {
          args: [...args, '--host-root', '/host', '--json'],
          mounts: nodeMounts,
          capabilities,
        }),
      );
    await host.shell('echo theirs >/opt/cni/bin/ptp');
    const report = JSON.parse(await container(installing, 'install', '--takeover')) as { names: string[] };
    expect(report.names).toEqual([commandName, ...pluginNames]);
    const network = {
      cniVersion: '1.1.0',
      name: 'pods',
      type: 'bridge',
      bridge: 'podwire0',
      isGateway: true,
      ipMasq: true,
      ipam: { type: 'host-local', ranges: [[{ subnet: '10.66.0.0/24' }]] },
    };
    const installed = { binDir: '/opt/cni/bin', path: ['/opt/cni/bin'] };
    const one = await attachPod(host, 'one', network, installed);
    const two = await attachPod(host, 'two', network, installed);
    const address = two.attachment.address();
    expect(await ping(one.pod, address)).toBe(true);
    // A new version comes while they run.
    expect(JSON.parse(await container(installing, 'install'))).toMatchObject({ action: 'unchanged' });
    const refusal = await runContainer(host, image, {
      args: ['uninstall', '--host-root', '/host'],
      mounts: nodeMounts,
      capabilities: [...installing, 'NET_ADMIN'],
    });
    expect(refusal).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('2 attachments of running pods'),
    });
    expect(await ping(one.pod, address)).toBe(true);
    for (const { attachment } of [one, two]) await attachment.del();
    await container([...installing, 'NET_ADMIN', 'NET_RAW'], 'uninstall');
    expect(await host.shell('ls -A /opt/cni/bin; cat /opt/cni/bin/ptp')).toBe('ptp\ntheirs\n');
    expect(await host.shell('nft list tables | grep podwire || true; ip -o link show type bridge')).toBe('');
    expect(existsSync(host.path('/run/podwire'))).toBe(false);
    expect(existsSync(host.path('/var/lib/podwire'))).toBe(false);
  });
});
