import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { podwireBin } from '../support/binaries.ts';
import { systemPath } from '../support/process.ts';
import { leftovers, nothing, snapshot } from '../support/snapshot.ts';
import type { TestHost } from '../support/test-host.ts';
import { call, createPluginHost, expectSilent, networks, pluginNames } from './calls.ts';

let host: TestHost;
beforeAll(async () => {
  host = await createPluginHost('process');
  await host.addPod('pod');
});
afterAll(() => host.dispose());

const executables = [...pluginNames, 'ptp'];

describe('without CNI_COMMAND', () => {
  test('the about text is on stderr and the exit code is 0', async () => {
    for (const plugin of executables) {
      for (const command of [undefined, '']) {
        const outcome = await call(host, { plugin, env: { CNI_COMMAND: command } });
        expect(outcome).toMatchObject({ exitCode: 0, stdout: '' });
        expect(outcome.stderr).toMatch(/^CNI \S+ plugin podwire \S+ \(\S+\)\n/);
        expect(outcome.stderr).toContain('0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0');
      }
    }
  });

  test('stdin is not read', async () => {
    const outcome = await call(host, { plugin: 'bridge', env: { CNI_COMMAND: undefined }, holdStdin: true });
    expect(outcome.exitCode).toBe(0);
  });
});

describe('the surroundings', () => {
  // One ADD, STATUS and DEL with nothing but the CNI variables, started by `start`.
  const lifeOf = async (start: string[], env: Record<string, string> = {}, name = 'life'): Promise<void> => {
    const before = await snapshot(host);
    const config = { ...networks.bridge, bridge: 'cni9' };
    let prevResult: unknown;
    for (const command of ['ADD', 'STATUS', 'DEL']) {
      const outcome = await host.attempt([...start, `${podwireBin}/bridge`], {
        env: {
          CNI_COMMAND: command,
          CNI_CONTAINERID: name,
          CNI_NETNS: '/run/netns/pod',
          CNI_IFNAME: 'eth0',
          CNI_PATH: podwireBin,
          ...env,
        },
        stdin: JSON.stringify({ ...config, prevResult }),
      });
      expect(outcome).toMatchObject({ exitCode: 0, stderr: '' });
      if (command === 'ADD') prevResult = JSON.parse(outcome.stdout);
      else expect(outcome.stdout).toBe('');
    }
    const allow = [/ cni9( |$)/];
    expect(leftovers(before, await snapshot(host), allow)).toEqual(nothing);
  };

  test('may be an empty environment: no HOME, no PATH, no locale', () => lifeOf(['/usr/bin/env', '-C', '/']));

  test('may be a umask of 0 or 0777', async () => {
    await lifeOf(['/bin/sh', '-c', 'umask 0; exec "$@"', 'sh'], { PATH: systemPath });
    await lifeOf(['/bin/sh', '-c', 'umask 0777; exec "$@"', 'sh'], { PATH: systemPath });
  });

  test('state is for the owner only, whatever the umask', async () => {
    await call(host, { plugin: 'host-local', containerId: 'umask' });
    const modes = await host.shell(
      'umask 0; find /var/lib/cni/networks /run/podwire -perm /022 -printf "%m %p\\n"',
    );
    expect(modes).toBe('');
    expectSilent(await call(host, { plugin: 'host-local', containerId: 'umask', command: 'DEL' }));
  });

  test('files in the working directory are not obeyed', async () => {
    await host.shell(`mkdir -p /run/cwd && cd /run/cwd
echo 'console.log("preloaded"); process.exit(9)' >evil.ts
printf 'preload = ["./evil.ts"]\\n[install]\\nauto = "force"\\n' >bunfig.toml
printf 'CNI_COMMAND=VERSION\\nCNI_IFNAME=evil\\nPATH=/nowhere\\n' >.env
cp .env .env.local; cp .env .env.production; cp .env .env.development
echo '{"name":"x","type":"commonjs","imports":{"#a":"./evil.ts"}}' >package.json
echo '{"compilerOptions":{"paths":{"*":["./evil.ts"]}}}' >tsconfig.json
mkdir -p node_modules/ipaddr.js && cp evil.ts node_modules/ipaddr.js/index.js`);
    await lifeOf(['/usr/bin/env', '-C', '/run/cwd']);
  });

  // bun itself refuses to start there, before any code of ours runs; a runtime's is "/" or its state's.
  test('may not be a working directory that was deleted: the refusal is told, and nothing is made', async () => {
    const before = await snapshot(host);
    const script = 'mkdir /run/gone; cd /run/gone; rmdir /run/gone; exec "$@"';
    const outcome = await host.attempt(['/bin/sh', '-c', script, 'sh', `${podwireBin}/host-local`], {
      env: {
        PATH: systemPath,
        CNI_COMMAND: 'ADD',
        CNI_CONTAINERID: 'c',
        CNI_NETNS: '/x',
        CNI_IFNAME: 'eth0',
      },
      stdin: JSON.stringify(networks['host-local']),
    });
    expect(outcome).toMatchObject({ exitCode: 1, stdout: '' });
    expect(outcome.stderr).toContain('working directory was deleted');
    expect(leftovers(before, await snapshot(host))).toEqual(nothing);
  });

  test('may be one that nobody may enter or write', async () => {
    await host.shell('mkdir -p -m 0 /run/closed');
    await lifeOf(['/bin/sh', '-c', 'cd /run/closed; exec "$@"', 'sh'], { PATH: systemPath });
  });
});

test('the executable works under its name from another directory', async () => {
  await host.shell(`mkdir -p /run/bin && cp ${podwireBin}/host-local /run/bin/host-local`);
  const first = { plugin: 'host-local', binDir: '/run/bin', containerId: 'copied' };
  expectSilent(await call(host, first));
  expectSilent(await call(host, { ...first, command: 'DEL' }));
});

// BUN_OPTIONS, BUN_BE_BUN and BUN_JSC_… are the runtime's own, which no build can keep out: they are for
// the one who starts the plugin to set, as LD_PRELOAD is.
test('variables meant for other programs are not obeyed', async () => {
  await host.shell('echo "console.log(1)" >/run/evil.ts');
  const env = {
    NODE_OPTIONS: '--require /run/evil.ts',
    BUN_CONFIG_PRELOAD: '/run/evil.ts',
    BUN_INSPECT_PRELOAD: '/run/evil.ts',
    BUN_RUNTIME_TRANSPILER_CACHE_PATH: '/run/cache',
    NODE_ENV: 'development',
    DEBUG: '*',
    FORCE_COLOR: '1',
    TZ: 'garbage',
    LC_ALL: 'xx_XX',
    CNI_UNKNOWN: '1',
  };
  const container = { plugin: 'host-local', containerId: 'variables', env };
  const added = await call(host, container);
  expectSilent(added);
  expect(added.result?.ips).toHaveLength(1);
  expectSilent(await call(host, { ...container, command: 'DEL' }));
});
