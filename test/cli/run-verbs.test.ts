import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { podwireBin } from '../support/binaries.ts';
import { expectSuccess } from '../support/process.ts';
import type { TestHost } from '../support/test-host.ts';
import {
  add,
  cacheDir,
  cacheFile,
  callOrder,
  check,
  confDir,
  createRecorderHost,
  del,
  hostHas,
  pods,
  podwire,
  readHostFile,
  recorded,
  scriptDir,
  writeFile,
  writeNetwork,
  writeRecorder,
} from './cli-host.ts';

// How `podwire run` calls plugins, seen by plugins that write down what they get.
let host: TestHost;
beforeEach(async (context) => {
  host = await createRecorderHost(context);
});
afterEach(() => host?.dispose());

describe('add, check and del', () => {
  test('call the plugins in order, with what belongs to each', async () => {
    const capabilityArgs = '{"mac":"02:00:00:00:00:01","ips":["10.0.0.9"]}';
    const outcome = await podwire(host, [
      ...add,
      '--json',
      '--args',
      'K=V;L=M',
      '--capability-args',
      capabilityArgs,
    ]);
    const result = JSON.parse(expectSuccess(outcome));
    expect(result).toEqual({
      cniVersion: '1.1.0',
      routes: [{ dst: '10.0.1.0/24' }, { dst: '10.0.2.0/24' }, { dst: '10.0.3.0/24' }],
    });
    expect(outcome.stderr).toBe('note: no plugin of "pods" declares the capability "ips"\n');
    expect(callOrder(host)).toEqual(['ADD a', 'ADD b', 'ADD c']);
    const [a, b, c] = recorded(host);
    expect(a?.env).toEqual({
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: 'box',
      CNI_NETNS: '/run/netns/box',
      CNI_IFNAME: 'eth0',
      CNI_ARGS: 'K=V;L=M',
      CNI_PATH: scriptDir,
    });
    expect(a?.stdin).toEqual({
      type: 'a',
      name: 'pods',
      cniVersion: '1.1.0',
      runtimeConfig: { mac: '02:00:00:00:00:01' },
    });
    expect(b?.stdin).toEqual({
      type: 'b',
      some: { key: [1] },
      name: 'pods',
      cniVersion: '1.1.0',
      prevResult: { cniVersion: '1.1.0', routes: [{ dst: '10.0.1.0/24' }] },
    });
    expect(c?.stdin.prevResult).toEqual({ cniVersion: '1.1.0', routes: result.routes.slice(0, 2) });

    expect(JSON.parse(readHostFile(host, cacheFile))).toEqual({
      kind: 'cniCacheV1',
      containerId: 'box',
      config: Buffer.from(JSON.stringify(pods)).toString('base64'),
      ifName: 'eth0',
      networkName: 'pods',
      netns: '/run/netns/box',
      cniArgs: [
        ['K', 'V'],
        ['L', 'M'],
      ],
      capabilityArgs: JSON.parse(capabilityArgs),
      result,
    });

    expectSuccess(await podwire(host, check));
    expect(expectSuccess(await podwire(host, del))).toBe('deleted eth0 of box from pods\n');
    expect(callOrder(host).slice(3)).toEqual(['CHECK a', 'CHECK b', 'CHECK c', 'DEL c', 'DEL b', 'DEL a']);
    for (const call of recorded(host).slice(3)) {
      expect(call.stdin.prevResult).toEqual(result);
      expect(call.env.CNI_ARGS).toBe('K=V;L=M');
    }
    expect(recorded(host).at(-1)?.stdin.runtimeConfig).toEqual({ mac: '02:00:00:00:00:01' });
    expect(hostHas(host, cacheFile)).toBe(false);

    // Again: there is nothing to delete any more, which is no error.
    expectSuccess(await podwire(host, del));
    expect(recorded(host).at(-1)?.stdin).not.toHaveProperty('prevResult');
  });

  test("take cnitool's variables", async () => {
    const env = {
      NETCONFPATH: confDir,
      CNI_PATH: scriptDir,
      CNI_IFNAME: 'net7',
      CNI_ARGS: 'A=B',
      CAP_ARGS: '{"mac":"02:00:00:00:00:02"}',
    };
    const argv = [`${podwireBin}/podwire`, 'run', 'add', 'pods', '/run/netns/box', '--cache-dir', cacheDir];
    expectSuccess(await host.attempt(argv, { env: { PATH: '/usr/bin:/bin', ...env } }));
    const [call] = recorded(host);
    const digest = new Bun.CryptoHasher('sha512').update('/run/netns/box').digest('hex');
    expect(call?.env).toMatchObject({
      CNI_IFNAME: 'net7',
      CNI_ARGS: 'A=B',
      CNI_CONTAINERID: `cnitool-${digest.slice(0, 20)}`,
    });
    expect(call?.stdin.runtimeConfig).toEqual({ mac: '02:00:00:00:00:02' });
    expect(
      (await host.attempt(argv, { env: { PATH: '/usr/bin:/bin', ...env, CNI_ARGS: 'A' } })).stderr,
    ).toContain('error 4: the environment variable CNI_ARGS is invalid');
  });

  test("del does without the configuration, the netns and the network's cached result", async () => {
    expectSuccess(await podwire(host, add));
    await host.exec(['rm', '-r', confDir]);
    await host.exec(['ip', 'netns', 'del', 'box']);
    const outcome = await podwire(host, ['run', 'del', 'pods', '--container-id', 'box']);
    expectSuccess(outcome);
    expect(outcome.stderr).toContain('note: using the configuration remembered at add');
    expect(callOrder(host).slice(3)).toEqual(['DEL c', 'DEL b', 'DEL a']);
    expect(recorded(host).at(-1)?.env.CNI_NETNS).toBe('/run/netns/box');

    writeNetwork(host, pods);
    writeFile(host, cacheFile, 'garbage');
    expectSuccess(await podwire(host, del));
    expect(hostHas(host, cacheFile)).toBe(false);
  });

  test('a cached result is converted when the configuration has another version now', async () => {
    expectSuccess(await podwire(host, add));
    writeNetwork(host, { ...pods, cniVersion: '0.4.0' });
    expectSuccess(await podwire(host, del));
    expect(recorded(host).at(-1)?.stdin.prevResult).toMatchObject({ cniVersion: '0.4.0', dns: {} });

    writeFile(host, cacheFile, { cniVersion: '0.3.1', dns: {} });
    writeNetwork(host, pods);
    expectSuccess(await podwire(host, del));
    expect(recorded(host).at(-1)?.stdin.prevResult).toEqual({ cniVersion: '1.1.0' });
  });

  test('below 0.4.0 del gets no result and check is refused', async () => {
    writeNetwork(host, { ...pods, cniVersion: '0.3.1' });
    expectSuccess(await podwire(host, add));
    const refused = await podwire(host, [...check, '--json']);
    expect(refused.exitCode).toBe(1);
    expect(JSON.parse(refused.stdout)).toMatchObject({
      code: 1,
      msg: expect.stringContaining('does not support the CHECK command'),
    });
    expectSuccess(await podwire(host, del));
    expect(recorded(host).at(-1)?.stdin).not.toHaveProperty('prevResult');
  });

  test('check honours disableCheck, and needs a cached result', async () => {
    expect((await podwire(host, check)).stderr).toContain(
      'error 3: container box is not attached to "pods" by eth0',
    );
    writeNetwork(host, { ...pods, disableCheck: true });
    expect(expectSuccess(await podwire(host, check))).toContain('not checked');
    expect(callOrder(host)).toEqual([]);
  });

  test('the first error of check and del ends them, and del keeps the result for another try', async () => {
    expectSuccess(await podwire(host, add));
    const fail = `[ "$CNI_COMMAND" = ADD ] || { echo '{"code":11,"msg":"later"}'; exit 1; }`;
    writeRecorder(host, 'b', 2, fail);
    const failed = await podwire(host, [...del, '--json']);
    expect(failed).toMatchObject({ exitCode: 1, stdout: expect.stringContaining('"code": 11') });
    expect(failed.stderr).toContain('error 11: later\n  from b (plugin 2 of 3 of network "pods", DEL)');
    expect((await podwire(host, check)).exitCode).toBe(1);
    expect(callOrder(host).slice(3)).toEqual(['DEL c', 'DEL b', 'CHECK a', 'CHECK b']);
    expect(hostHas(host, cacheFile)).toBe(true);
  });
});

test('a netns that is missing or none is told before any plugin runs', async () => {
  expect((await podwire(host, ['run', 'add', 'pods', 'absent'])).stderr).toContain('error 8: ');
  expect((await podwire(host, ['run', 'add', 'pods', '/etc/passwd'])).stderr).toContain('error 8: ');
  expect(callOrder(host)).toEqual([]);
});

test('a netns can be that of a process', async () => {
  const sleeper = host.start(['ip', 'netns', 'exec', 'box', 'sh', '-c', 'exec sleep 60']);
  const netns = `pid:${sleeper.pid}`;
  expectSuccess(await podwire(host, ['run', 'add', 'pods', netns]));
  expect(recorded(host)[0]?.env.CNI_NETNS).toBe(`/proc/${sleeper.pid}/ns/net`);
  sleeper.kill();
  await sleeper.outcome;
});
