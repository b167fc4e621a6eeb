import { describe, expect, test } from 'vitest';
import { call, expectError, expectSilent, forAll } from '../protocol/calls.ts';
import type { TestHost } from '../support/test-host.ts';
import {
  address,
  directory,
  install,
  network,
  onAdd,
  setUpDelegates,
  takeLog,
  withDelegates,
} from './fake-delegate.ts';

let host: TestHost;
const nothingLeft = setUpDelegates((made) => {
  host = made;
});

describe('ADD with a delegate', () => {
  test('that would delegate to itself again: code 7, and no call without end', async () => {
    expectError(await call(host, { plugin: 'bridge', config: network({ type: 'ptp' }) }), 7, 'ptp');
    install(host, onAdd(`echo '${address}'`));
    const given = { plugin: 'bridge', config: network({ type: 'fake' }), ...withDelegates };
    expectError(await call(host, { ...given, env: { PODWIRE_DELEGATED: 'fake' } }), 7, 'fake');
    // Below a foreign IPAM plugin that calls us with a configuration of its own.
    const container = { ...given, containerId: 'inner', env: { PODWIRE_DELEGATED: 'another' } };
    expectSilent(await call(host, container));
    expectSilent(await call(host, { ...container, command: 'DEL' }));
    expect(await takeLog(host)).toEqual(['ADD', 'DEL']);
    await host.exec(['ip', 'link', 'del', 'cni7']);
    await nothingLeft();
  });

  test('that succeeds, when a later step fails: its DEL is called, with the same input', async () => {
    install(
      host,
      `env | grep ^CNI_ | grep -v ^CNI_COMMAND | sort >${directory}/env.$CNI_COMMAND
cat >${directory}/stdin.$CNI_COMMAND
${onAdd(`echo '${address}'`)}`,
    );
    // The address is that of the bridge's gateway in another prefix, which only the bridge can find out.
    await host.shell('ip link add cni7 type bridge && ip addr add 10.77.0.9/16 dev cni7');
    const config = { ...network({ type: 'fake', 'unknown key': ['ä'] }), isGateway: true };
    const stdin = `  ${JSON.stringify(config, null, 3)}\n`;
    expectError(
      await call(host, { plugin: 'bridge', stdin, ...withDelegates, args: 'IP=10.77.0.5' }),
      103,
      'cni7',
    );
    expect(await takeLog(host)).toEqual(['ADD', 'DEL']);
    for (const verb of ['ADD', 'DEL']) {
      expect(await host.exec(['cat', `${directory}/stdin.${verb}`])).toBe(stdin);
    }
    const env = await host.exec(['cat', `${directory}/env.ADD`]);
    expect(
      env
        .split('\n')
        .map((line) => line.split('=')[0])
        .filter(Boolean),
    ).toEqual(['CNI_ARGS', 'CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_NETNS', 'CNI_PATH']);
    expect(await host.exec(['cat', `${directory}/env.DEL`])).toBe(env);
    await host.exec(['ip', 'link', 'del', 'cni7']);
    await nothingLeft();
  });

  test('that speaks an older version, or writes to stderr: the result is used, the text passed on', async () => {
    const results = [
      '{"cniVersion": "0.2.0", "ip4": {"ip": "10.77.0.5/24", "gateway": "10.77.0.1"}}',
      '{"cniVersion": "0.4.0", "ips": [{"version": "4", "address": "10.77.0.5/24", "gateway": "10.77.0.1"}], "dns": {}}',
      '{"ips": [{"address": "10.77.0.5/24", "gateway": "10.77.0.1"}]}',
      address,
    ];
    for (const result of results) {
      install(host, onAdd(`echo a word from the delegate >&2; echo '${result}'`));
      const container = {
        plugin: 'bridge',
        config: network({ type: 'fake' }),
        containerId: 'old',
        ...withDelegates,
      };
      const added = await call(host, container);
      expect(added).toMatchObject({ exitCode: 0, stderr: 'a word from the delegate\n' });
      expect(added.result?.ips).toEqual([{ address: '10.77.0.5/24', gateway: '10.77.0.1', interface: 2 }]);
      expectSilent(await call(host, { ...container, command: 'DEL' }));
    }
    await nothingLeft();
  });
});

describe('the other verbs', () => {
  test('are passed on, and so are the errors', async () => {
    const config = { ...network({ type: 'fake' }), 'cni.dev/valid-attachments': [] };
    install(host, onAdd(`echo '${address}'`));
    const container = { plugin: 'bridge', containerId: 'verbs', ...withDelegates };
    const added = await call(host, { ...container, config });
    expectSilent(added);
    const later = { ...container, config: { ...config, prevResult: added.result } };
    const verbs = ['CHECK', 'STATUS', 'DEL', 'GC'];
    for (const command of verbs) expectSilent(await call(host, { ...later, command }));
    expect(await takeLog(host)).toEqual(['ADD', ...verbs]);
    expectSilent(await call(host, { ...container, config }));
    install(host, `echo '{"code": 77, "msg": "not now"}'; exit 1`);
    for (const command of verbs) expectError(await call(host, { ...later, command }), 77, 'not now');
    install(host, '');
    expectSilent(await call(host, { ...later, command: 'DEL' }));
    await nothingLeft();
  });

  test('DEL is passed on whatever is left of the container', async () => {
    install(host, '');
    const rows = [
      { netns: undefined },
      { netns: '' },
      { netns: '/run/netns/gone' },
      { netns: '/run/netns/pod' },
    ];
    await forAll(
      rows.flatMap((row) => ['bridge', 'veth'].map((plugin) => ({ plugin, ...row }))),
      (row) => JSON.stringify(row),
      async ({ plugin, netns }) => {
        const config = network({ type: 'fake' });
        const env = { CNI_NETNS: netns };
        expectSilent(await call(host, { plugin, config, command: 'DEL', env, ...withDelegates }));
      },
    );
    expect(await takeLog(host)).toEqual(Array.from({ length: 8 }, () => 'DEL'));
  });
});
