import { existsSync, lstatSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { pluginNames } from '../../shared/cni/plugin-names.ts';
import { expectPlugins, podwireBin } from '../support/binaries.ts';
import { createHost, type TestHost } from '../support/test-host.ts';
import { readHostFile, writeFile } from './cli-host.ts';
import { buildVersion, podwire, podwireJson, tree } from './install-host.ts';

// All of a node's files are below this directory; podwire is told so by --host-root.
const root = '/run/node';
const bin = `${root}/opt/cni/bin`;
const inRoot = ['--host-root', root];
const names = ['podwire', ...pluginNames];
const conflist = {
  cniVersion: '1.1.0',
  name: 'pods',
  plugins: [{ type: 'bridge', ipam: { type: 'dhcp' } }],
};

interface InstallOutput {
  action: string;
  from?: { version: string };
  names: string[];
  putAside: string[];
  warnings: string[];
}

let host: TestHost;
let newer: ReturnType<typeof buildVersion>;
beforeAll(async () => {
  expectPlugins(podwireBin, 'podwire', ...pluginNames);
  host = await createHost({ name: 'install' });
  newer = buildVersion('99.1.0');
});
afterAll(async () => {
  newer?.remove();
  await host?.dispose();
});
beforeEach(async () => {
  await host.shell(`rm -rf ${root}; mkdir -p ${root}`);
});

const install = (...args: string[]): Promise<InstallOutput> =>
  podwireJson(host, ['install', ...inRoot, ...args]);
const uninstall = (...args: string[]): Promise<{ removed: string[]; restored: string[]; left: unknown[] }> =>
  podwireJson(host, ['uninstall', ...inRoot, ...args]);
const refused = async (args: string[], message: RegExp, command?: string): Promise<void> => {
  const before = tree(host, root);
  const outcome = await podwire(host, [...args, ...inRoot], command);
  expect(outcome).toMatchObject({ exitCode: 1, stdout: '', stderr: expect.stringMatching(message) });
  expect(tree(host, root)).toEqual(before);
};
/** What a plugin says of itself. */
const about = async (plugin: string): Promise<string> =>
  (await host.attempt([`${bin}/${plugin}`], { env: {} })).stderr;
/** A few files of others, among them what is easily lost: a mode, an owner, a dangling link. */
const writeForeign = async (): Promise<void> => {
  await host.shell(`mkdir -p ${bin}
    echo bridge >${bin}/bridge; chmod 4711 ${bin}/bridge
    echo ptp >${bin}/ptp; chown 12:34 ${bin}/ptp
    ln -s /nowhere ${bin}/static
    echo dhcp >${bin}/dhcp`);
};

describe('install', () => {
  test('one executable under all names, and nothing beside it', async () => {
    expect(await install()).toMatchObject({ action: 'installed', names, putAside: [] });
    const [first, ...others] = names.map((name) => lstatSync(host.path(`${bin}/${name}`)));
    expect(first).toMatchObject({ mode: 0o100755, uid: 0, gid: 0, nlink: names.length });
    for (const { ino } of others) expect(ino).toBe(first?.ino);
    expect((await host.exec(['ls', '-A', bin])).trim().split('\n').toSorted()).toEqual(names.toSorted());
    expect(await about('bridge')).toMatch(/^CNI bridge plugin podwire/);
    const state = statSync(host.path(`${root}/var/lib/podwire/install.json`));
    expect(state.mode & 0o777).toBe(0o600);
    expect(statSync(host.path(`${root}/var/lib/podwire`)).mode & 0o777).toBe(0o700);
  });

  test('is no link to where it came from, which may be anybody’s', async () => {
    await install();
    expect(lstatSync(host.path(`${bin}/podwire`)).ino).not.toBe(lstatSync(`${podwireBin}/podwire`).ino);
  });

  test('a second time changes nothing', async () => {
    await install();
    const before = tree(host, root);
    expect(await install()).toMatchObject({ action: 'unchanged' });
    expect(tree(host, root)).toEqual(before);
  });

  test('several at once: one after the other', async () => {
    const reports = await Promise.all([install(), install('--plugins', 'veth'), install(), install()]);
    expect(reports.filter(({ action }) => action === 'installed')).toHaveLength(1);
    expect(await install()).toMatchObject({ action: 'unchanged', names });
    await uninstall();
    expect(tree(host, root).filter((line) => !isEmptyDirectory(line))).toEqual([]);
  });

  test.each([
    ['a name is gone', `rm ${bin}/veth`],
    ['a name is a copy', `cp ${bin}/veth ${bin}/x; mv ${bin}/x ${bin}/veth`],
    ['its mode was changed', `chmod 777 ${bin}/podwire`],
    ['the manifest is gone', `rm ${root}/var/lib/podwire/install.json`],
    [
      'a temporary file is left',
      `echo x >${bin}/.podwire-executable; ln -s y ${bin}/.veth.podwire-new; rm ${bin}/veth`,
    ],
  ])('again makes good that %s', async (_what, damage) => {
    await install();
    const before = tree(host, root).map(withoutInode);
    await host.shell(damage);
    expect(await install()).toMatchObject({ action: 'replaced' });
    const after = tree(host, root).map(withoutInode);
    // Who made the directories stood in the manifest only.
    const isManifest = (line: string): boolean => line.includes('install.json');
    expect(after.filter((line) => !isManifest(line))).toEqual(before.filter((line) => !isManifest(line)));
  });

  test('some plugins, then more; none goes', async () => {
    expect((await install('--plugins', 'host-local,bridge')).names).toEqual([
      'podwire',
      'bridge',
      'host-local',
    ]);
    expect((await install('--plugins', 'veth')).names).toEqual(['podwire', 'bridge', 'veth', 'host-local']);
    expect(existsSync(host.path(`${bin}/ptp`))).toBe(false);
    expect((await install()).names).toEqual(names);
  });

  test('files of others are refused, then put aside, then put back as they were', async () => {
    await writeForeign();
    const before = tree(host, root);
    await refused(
      ['install'],
      /has files of others under our names: bridge, ptp, static \(symbolic link to \/nowhere\)/,
    );
    const report = await install('--takeover');
    expect(report.putAside).toEqual(['bridge', 'ptp', 'static'].map((name) => `/opt/cni/bin/${name}`));
    expect(await about('static')).toMatch(/podwire/);
    // The next one neither loses them nor puts our own aside.
    expect(await install('--takeover')).toMatchObject({ action: 'unchanged', putAside: [] });
    const gone = await uninstall();
    expect(gone.restored.toSorted()).toEqual(report.putAside);
    expect(gone.left).toEqual([]);
    expect(tree(host, root).filter((line) => !isEmptyDirectory(line))).toEqual(before);
  });

  test('also where the state is on another file system', async () => {
    await host.shell(`mkdir -p ${bin}; mount -t tmpfs -o mode=755 tmpfs ${bin}`);
    try {
      await writeForeign();
      const before = tree(host, bin);
      await install('--takeover');
      expect(tree(host, `${root}/var/lib/podwire/saved`)).toEqual(
        before.filter((line) => !line.startsWith('/dhcp')),
      );
      await uninstall();
      expect(tree(host, bin)).toEqual(before);
    } finally {
      await host.shell(`umount ${bin}`);
    }
  });

  test('with --plugins, files of others under the other names are in nobody’s way', async () => {
    await writeForeign();
    expect((await install('--plugins', 'veth,host-local')).putAside).toEqual([]);
    expect(readHostFile(host, `${bin}/bridge`)).toBe('bridge\n');
  });

  test('a package that replaced ours is put aside in its turn', async () => {
    await writeForeign();
    await install('--takeover');
    await host.shell(`echo newer >${bin}/x; mv ${bin}/x ${bin}/bridge`);
    await refused(['install'], /files of others under our names: bridge/);
    await install('--takeover');
    await uninstall();
    expect(readHostFile(host, `${bin}/bridge`)).toBe('newer\n');
    expect(readHostFile(host, `${bin}/ptp`)).toBe('ptp\n');
  });

  test('a directory of that name is refused, also with --takeover', async () => {
    await host.shell(`mkdir -p ${bin}/veth`);
    await refused(['install', '--takeover'], /\/opt\/cni\/bin\/veth is in the way: a directory/);
  });

  test('links on the node lead where the node sees them', async () => {
    await host.shell(`mkdir -p ${root}/opt ${root}/data/cni; ln -s /data/cni ${root}/opt/cni`);
    await install('--plugins', 'veth');
    expect(existsSync(host.path(`${root}/data/cni/bin/veth`))).toBe(true);
    await uninstall();
    expect(existsSync(host.path(`${root}/data/cni/bin`))).toBe(false);
    expect(existsSync(host.path('/data'))).toBe(false);
  });

  test('a full disk: nothing is left of it, and what was there is untouched', async () => {
    await host.shell(`mkdir -p ${bin}; mount -t tmpfs -o size=60m tmpfs ${bin}; echo bridge >${bin}/bridge`);
    try {
      const outcome = await podwire(host, ['install', ...inRoot, '--takeover']);
      expect(outcome).toMatchObject({
        exitCode: 1,
        stderr: expect.stringMatching(/error 5: cannot install.*ENOSPC/),
      });
      expect((await host.exec(['ls', '-A', bin])).trim()).toBe('bridge');
      expect(readHostFile(host, `${bin}/bridge`)).toBe('bridge\n');
      expect(existsSync(host.path(`${root}/var/lib/podwire`))).toBe(false);
    } finally {
      await host.shell(`umount ${bin}`);
    }
  });
});

describe('upgrade', () => {
  test('tells from which version, keeps what was put aside, and the way back needs --force', async () => {
    await writeForeign();
    await refused(['upgrade'], /podwire is not installed in \/opt\/cni\/bin/);
    await install('--takeover');
    const { from } = await podwireJson<InstallOutput>(host, ['upgrade', ...inRoot], newer.command);
    expect(from?.version).toBe((await podwireJson<{ version: string }>(host, ['version'])).version);
    expect(await about('veth')).toContain('podwire 99.1.0 (other)');
    await refused(['install'], /has podwire 99.1.0 \(other\), which is newer/);
    await refused(['upgrade'], /newer/);
    expect(await install('--force')).toMatchObject({ action: 'downgraded', from: { version: '99.1.0' } });
    expect((await uninstall()).restored).toHaveLength(3);
  });

  test('while the old one runs', async () => {
    await install();
    // Waits for its configuration.
    const old = host.start([`${bin}/bridge`], {
      holdStdin: true,
      env: { CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'c', CNI_NETNS: '/x', CNI_IFNAME: 'eth0' },
      stdin: '{',
    });
    const executable = `/proc/${old.pid}/exe`;
    try {
      await expect.poll(() => readlinkSync(executable), { timeout: 5000 }).toContain('/opt/cni/bin/bridge');
      await podwireJson(host, ['upgrade', ...inRoot], newer.command);
      expect(readlinkSync(executable)).toContain('(deleted)');
    } finally {
      old.kill();
      await old.outcome;
    }
  });
});

describe('uninstall', () => {
  test('of nothing', async () => {
    const outcome = await podwire(host, ['uninstall', ...inRoot]);
    expect(outcome).toMatchObject({
      exitCode: 0,
      stdout: 'there was nothing of podwire to remove\n',
      stderr: '',
    });
    expect(tree(host, root)).toEqual([]);
  });

  test('leaves nothing, and by the installed command itself', async () => {
    await install();
    await podwireJson(host, ['uninstall', ...inRoot], `${bin}/podwire`);
    expect(tree(host, root).filter((line) => !isEmptyDirectory(line))).toEqual([]);
    expect(existsSync(host.path(`${root}/opt`))).toBe(false);
  });

  test('what was copied by hand, by its mark', async () => {
    await host.shell(`mkdir -p ${bin}; cp ${podwireBin}/podwire ${bin}/veth; echo bridge >${bin}/bridge`);
    expect((await uninstall()).removed).toEqual(['/opt/cni/bin/veth']);
    expect(readHostFile(host, `${bin}/bridge`)).toBe('bridge\n');
  });

  test('leaves what somebody put in our place, and says where the one before is', async () => {
    await writeForeign();
    await install('--takeover');
    await host.shell(`echo mine >${bin}/x; mv ${bin}/x ${bin}/bridge`);
    const { left } = await uninstall();
    expect(left).toEqual([
      { path: '/opt/cni/bin/bridge', why: expect.any(String), kept: '/var/lib/podwire/saved/bridge' },
    ]);
    expect(readHostFile(host, `${bin}/bridge`)).toBe('mine\n');
    expect(readHostFile(host, `${root}/var/lib/podwire/saved/bridge`)).toBe('bridge\n');
  });

  test('leaves the state of cluster-ipam, and says so', async () => {
    await install('--plugins', 'cluster-ipam');
    await host.shell(
      `mkdir ${root}/var/lib/podwire/datastore; echo x >${root}/var/lib/podwire/datastore/pool`,
    );
    expect((await uninstall()).left).toMatchObject([{ path: '/var/lib/podwire/datastore' }]);
    expect(readHostFile(host, `${root}/var/lib/podwire/datastore/pool`)).toBe('x\n');
  });

  test('a manifest that leads elsewhere is refused', async () => {
    await install('--plugins', 'veth');
    const file = host.path(`${root}/var/lib/podwire/install.json`);
    const manifest = readFileSync(file, 'utf8').replace('"podwire",', '"../../../etc/passwd",');
    writeFile(host, `${root}/var/lib/podwire/install.json`, manifest);
    await refused(['uninstall'], /error 6: \/var\/lib\/podwire\/install.json is no manifest/);
  });
});

describe('a network configuration', () => {
  const installed = `${root}/etc/cni/net.d/10-pods.conflist`;
  beforeEach(() => writeFile(host, '/run/10-pods.conflist', conflist));
  const withConflist = ['--conflist', '/run/10-pods.conflist'];

  test('is installed, replaced, removed; a plugin that is missing is told of', async () => {
    const some = await install('--plugins', 'veth', ...withConflist);
    expect(some.warnings).toEqual(['bridge', 'dhcp'].map((type) => expect.stringContaining(`"${type}"`)));
    await host.shell(`echo dhcp >${bin}/dhcp`);
    expect((await install(...withConflist)).warnings).toEqual([]);
    expect(JSON.parse(readHostFile(host, installed))).toEqual(conflist);
    expect(statSync(host.path(installed)).mode & 0o777).toBe(0o644);
    expect(await install(...withConflist)).toMatchObject({ action: 'unchanged' });
    writeFile(host, '/run/10-pods.conflist', { ...conflist, name: 'other' });
    await install(...withConflist);
    expect(JSON.parse(readHostFile(host, installed)).name).toBe('other');
    expect((await uninstall()).removed[0]).toBe('/etc/cni/net.d/10-pods.conflist');
    expect(existsSync(host.path(installed))).toBe(false);
  });

  test('that is somebody else’s is refused, put aside, put back', async () => {
    writeFile(host, installed, 'theirs', 0o640);
    await refused(['install', ...withConflist], /10-pods.conflist is there already/);
    await install(...withConflist, '--takeover');
    expect((await uninstall()).restored).toEqual(['/etc/cni/net.d/10-pods.conflist']);
    expect(readHostFile(host, installed)).toBe('theirs');
    expect(statSync(host.path(installed)).mode & 0o777).toBe(0o640);
  });

  test('that was changed since stays', async () => {
    await install(...withConflist);
    writeFile(host, installed, 'changed');
    expect((await uninstall()).left).toMatchObject([{ path: '/etc/cni/net.d/10-pods.conflist' }]);
    expect(readHostFile(host, installed)).toBe('changed');
  });

  test.each([
    ['{', /error 6: .*10-pods.conflist/],
    [
      '{ "name": "x", "cniVersion": "1.0.0", "plugins": [] }',
      /error 7: .*"plugins" must be a list with at least one/,
    ],
  ])('that is wrong: %s', async (text, message) => {
    writeFile(host, '/run/10-pods.conflist', text);
    await refused(['install', ...withConflist], message);
  });
});

test.each([
  [['install', '--plugins', 'bridge,nope'], 'There is no plugin "nope"'],
  [['install', '--bin-dir', 'opt/cni'], 'It must be an absolute path'],
  [['install', '--bin-dir', '/opt/../etc'], 'It must be an absolute path'],
  [['uninstall', '--host-root', '/nowhere/at/all'], 'There is no such directory'],
  [['uninstall', '--takeover'], "unknown option '--takeover'"],
  [['upgrade', 'more'], 'too many arguments'],
])('%j is wrong usage', async (args, text) => {
  expect(await podwire(host, args)).toMatchObject({
    exitCode: 2,
    stdout: '',
    stderr: expect.stringContaining(text),
  });
});

const withoutInode = (line: string): string => line.replace(/ inode \d+$/, ' inode');

/** Parents of what was removed, such as /var/lib, that an installation made in an empty root. */
const isEmptyDirectory = (line: string): boolean =>
  /^\/(var|var\/lib|etc|etc\/cni|etc\/cni\/net\.d) 40755 0:0$/.test(line);
