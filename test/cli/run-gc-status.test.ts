import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { expectSuccess } from '../support/process.ts';
import type { TestHost } from '../support/test-host.ts';
import {
  add,
  cacheFile,
  callOrder,
  createRecorderHost,
  hostHas,
  pods,
  podwire,
  recorded,
  scriptDir,
  writeFile,
  writeNetwork,
  writeRecorder,
} from './cli-host.ts';

// The verbs that are about a network as a whole.
let host: TestHost;
beforeEach(async (context) => {
  host = await createRecorderHost(context);
});
afterEach(() => host?.dispose());

describe('gc', () => {
  const gc = ['run', 'gc', 'pods'];
  const valid = (host: TestHost) => recorded(host).map(({ stdin }) => stdin['cni.dev/valid-attachments']);

  test('deletes stale cached attachments, then asks every plugin', async () => {
    expectSuccess(await podwire(host, add));
    expectSuccess(await podwire(host, [...add, '--ifname', 'eth1', '--args', 'K=V']));
    const outcome = await podwire(host, [
      ...gc,
      '--keep-attachment',
      'box:eth0',
      '--keep-attachment',
      'other:eth0',
    ]);
    expect(expectSuccess(outcome)).toBe(
      'collected pods: stale attachments deleted: 1; plugins asked: a, b, c\ndeleted eth1 of box\n',
    );
    expect(callOrder(host).slice(6)).toEqual(['DEL c', 'DEL b', 'DEL a', 'GC a', 'GC b', 'GC c']);
    const [deleted, , , collected] = recorded(host).slice(6);
    expect(deleted?.env).toMatchObject({ CNI_IFNAME: 'eth1', CNI_ARGS: 'K=V', CNI_NETNS: '/run/netns/box' });
    expect(collected?.env).toMatchObject({
      CNI_CONTAINERID: '',
      CNI_NETNS: '',
      CNI_IFNAME: '',
      CNI_PATH: scriptDir,
    });
    const list = [
      { containerID: 'box', ifname: 'eth0' },
      { containerID: 'other', ifname: 'eth0' },
    ];
    expect(collected?.stdin).toMatchObject({
      'cni.dev/valid-attachments': list,
      'cni.dev/attachments': list,
    });
    expect(hostHas(host, cacheFile)).toBe(true);
  });

  test('keeps what the cache has, or nothing', async () => {
    expectSuccess(await podwire(host, add));
    expectSuccess(await podwire(host, [...gc, '--keep-cached']));
    expect(valid(host).at(-1)).toEqual([{ containerID: 'box', ifname: 'eth0' }]);
    expectSuccess(await podwire(host, [...gc, '--keep-none']));
    expect(valid(host).at(-1)).toEqual([]);
    expect(hostHas(host, cacheFile)).toBe(false);
    expect((await podwire(host, gc)).exitCode).toBe(2);
  });

  test('keeps all when a cached result could be that of a living attachment', async () => {
    writeFile(host, cacheFile, 'garbage');
    const outcome = await podwire(host, [...gc, '--keep-cached']);
    expect(outcome.stderr).toContain('error 6: cannot tell whose cached result pods-box-eth0 is');
    expect(callOrder(host)).toEqual([]);
    expectSuccess(await podwire(host, [...gc, '--keep-attachment', 'box:eth0']));
  });

  test('goes on after errors and tells all', async () => {
    writeRecorder(host, 'a', 1, `echo '{"code":5,"msg":"first"}'; exit 1`);
    writeRecorder(host, 'c', 3, `echo '{"code":11,"msg":"second"}'; exit 1`);
    const outcome = await podwire(host, [...gc, '--keep-none']);
    expect(outcome.exitCode).toBe(1);
    expect(outcome.stderr).toBe(
      'error 5: 2 errors in garbage collection, the first: first\n  error 5: first\n  error 11: second\n',
    );
    expect(callOrder(host)).toEqual(['GC a', 'GC b', 'GC c']);
  });

  test('honours disableGC and the version', async () => {
    writeNetwork(host, { ...pods, disableGC: true });
    expect(expectSuccess(await podwire(host, [...gc, '--keep-none']))).toContain('not collected');
    writeNetwork(host, { ...pods, cniVersion: '1.0.0' });
    expect(expectSuccess(await podwire(host, [...gc, '--keep-none']))).toContain('plugins not asked');
    expect(callOrder(host)).toEqual([]);
  });
});

describe('status', () => {
  test('asks every plugin until one fails', async () => {
    expect(expectSuccess(await podwire(host, ['run', 'status', 'pods']))).toBe('ready pods\n');
    writeRecorder(host, 'b', 2, `echo '{"cniVersion":"1.1.0","code":50,"msg":"no addresses"}'; exit 1`);
    const outcome = await podwire(host, ['run', 'status', 'pods', '--json']);
    expect(outcome.exitCode).toBe(1);
    expect(JSON.parse(outcome.stdout)).toEqual({ cniVersion: '1.1.0', code: 50, msg: 'no addresses' });
    expect(callOrder(host)).toEqual(['STATUS a', 'STATUS b', 'STATUS c', 'STATUS a', 'STATUS b']);
    expect(recorded(host)[0]?.stdin).toEqual({ type: 'a', name: 'pods', cniVersion: '1.1.0' });
  });

  test('is not asked below 1.1.0', async () => {
    writeNetwork(host, { ...pods, cniVersion: '1.0.0' });
    expect(expectSuccess(await podwire(host, ['run', 'status', 'pods']))).toContain('not asked');
    expect(callOrder(host)).toEqual([]);
  });
});
