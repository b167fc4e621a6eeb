import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { expectSuccess } from '../support/process.ts';
import type { TestHost } from '../support/test-host.ts';
import {
  add,
  cacheFile,
  callOrder,
  confDir,
  createRecorderHost,
  del,
  pods,
  podwire,
  readHostFile,
  recorded,
  writeFile,
  writeNetwork,
} from './cli-host.ts';

// Where `podwire run` finds networks.
let host: TestHost;
beforeEach(async (context) => {
  host = await createRecorderHost(context);
});
afterEach(() => host?.dispose());

describe('the configuration directory', () => {
  const single = { name: 'pods', cniVersion: '0.4.0', type: 'b', mine: true };

  test("is searched in libcni's order", async () => {
    writeNetwork(host, { ...pods, plugins: [{ type: 'b' }] }, '00-first.conflist');
    writeNetwork(host, { ...single, type: 'c' }, '00-single.conf');
    expectSuccess(await podwire(host, del));
    await host.exec(['rm', `${confDir}/00-first.conflist`, `${confDir}/net.conflist`]);
    expectSuccess(await podwire(host, del));
    expect(callOrder(host)).toEqual(['DEL b', 'DEL c']);
  });

  test('may hold plugins of before lists, as .conf and .json', async () => {
    await host.exec(['rm', `${confDir}/net.conflist`]);
    writeNetwork(host, single, 'x.json');
    expectSuccess(await podwire(host, add));
    expect(recorded(host)[0]?.stdin).toEqual(single);
    const config = JSON.parse(readHostFile(host, cacheFile)).config;
    expect(JSON.parse(Buffer.from(config, 'base64').toString())).toEqual({
      name: 'pods',
      cniVersion: '0.4.0',
      plugins: [single],
    });
    expectSuccess(await podwire(host, del));
  });

  test("may hold plugins in the network's folder", async () => {
    writeNetwork(host, { ...pods, plugins: [{ type: 'b' }] });
    writeFile(host, `${confDir}/pods/2.conf`, { type: 'a' });
    writeFile(host, `${confDir}/pods/1.conf`, { type: 'c' });
    writeFile(host, `${confDir}/pods/3.json`, { type: 'ignored' });
    expectSuccess(await podwire(host, add));
    await host.exec(['rm', '-r', confDir]);
    expectSuccess(await podwire(host, del));
    expect(callOrder(host)).toEqual(['ADD b', 'ADD c', 'ADD a', 'DEL a', 'DEL c', 'DEL b']);

    writeNetwork(host, { ...pods, plugins: [{ type: 'b' }], loadOnlyInlinedPlugins: true });
    writeFile(host, `${confDir}/pods/1.conf`, { type: 'c' });
    expectSuccess(await podwire(host, del));
    expect(callOrder(host).slice(6)).toEqual(['DEL b']);
  });

  test('can be passed by with a path', async () => {
    writeFile(host, '/run/cli/other.json', { ...pods, name: 'other', plugins: [{ type: 'b' }] });
    expectSuccess(await podwire(host, ['run', 'add', '/run/cli/other.json', 'box']));
    expect(recorded(host)[0]?.stdin.name).toBe('other');
  });

  test('and what is wrong with it is told', async () => {
    const errorOf = async (name: string) => (await podwire(host, ['run', 'add', name, 'box'])).stderr;
    expect(await errorOf('nope')).toBe(
      `error 7: no network named "nope" in ${confDir}\n  There are: pods.\n`,
    );
    expect(await errorOf('./nope')).toContain('error 5: cannot read /nope');
    writeNetwork(host, '{', '00-broken.conflist');
    expect(await errorOf('pods')).toContain(`error 6: ${confDir}/00-broken.conflist is not valid JSON`);
    writeNetwork(host, { name: '../x', cniVersion: '1.0.0' }, '00-broken.conflist');
    expect(await errorOf('pods')).toContain('error 7: invalid network configuration: "name" must begin with');
    writeNetwork(host, { name: 'empty', cniVersion: '1.0.0' }, '00-broken.conflist');
    expect(await errorOf('pods')).toContain('has no plugins');
  });
});
