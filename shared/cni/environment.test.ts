import { describe, expect, test } from 'vitest';
import { parseEnvironment } from './environment.ts';
import { CniError } from './errors.ts';

const add = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/run/netns/c1',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin:/usr/lib/cni',
};

const errorOf = (variables: Record<string, string | undefined>, knownArgs?: string[]): CniError => {
  try {
    parseEnvironment(variables, knownArgs);
  } catch (error) {
    if (error instanceof CniError) return error;
    throw error;
  }
  throw new Error('was accepted');
};

describe('parseEnvironment', () => {
  test('reads all variables', () => {
    const args = 'IgnoreUnknown=1;K8S_POD_NAME=web;IP=10.1.0.5';
    expect(parseEnvironment({ ...add, CNI_ARGS: args, CNI_NETNS_OVERRIDE: 'true' }, ['IP'])).toEqual({
      command: 'ADD',
      containerId: 'c1',
      netns: '/run/netns/c1',
      ifname: 'eth0',
      args: new Map([
        ['IgnoreUnknown', '1'],
        ['K8S_POD_NAME', 'web'],
        ['IP', '10.1.0.5'],
      ]),
      path: ['/opt/cni/bin', '/usr/lib/cni'],
      netnsOverride: true,
    });
  });

  test('names all that is missing', () => {
    const error = errorOf({ CNI_COMMAND: 'ADD', CNI_IFNAME: '' });
    expect(error).toMatchObject({ code: 4 });
    for (const name of ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME']) expect(error.message).toContain(name);
  });

  test.each(['STATUS', 'VERSION'])('needs nothing more for %s', (command) => {
    expect(parseEnvironment({ CNI_COMMAND: command })).toMatchObject({ command, containerId: '', path: [] });
  });

  test.each(['', 'add', 'toString', '__proto__', 'hasOwnProperty'])('refuses the verb %j', (command) => {
    expect(errorOf({ ...add, CNI_COMMAND: command })).toMatchObject({ code: 4 });
  });

  test.each(['-a', '.a', 'a/b', 'a b', 'a\n', 'ä'])('refuses the container id %j', (id) => {
    expect(errorOf({ ...add, CNI_CONTAINERID: id }).message).toContain(JSON.stringify(id));
  });

  test.each(['.', '..', 'a/b', 'a:b', 'a b', 'x'.repeat(16), 'ä'.repeat(8), 'eth%d'])(
    'refuses the interface name %j',
    (ifname) => {
      expect(errorOf({ ...add, CNI_IFNAME: ifname }).message).toContain(JSON.stringify(ifname));
    },
  );

  test.each(['x'.repeat(15), 'ä'.repeat(7), 'eth0.100', 'a@b', '...'])(
    'takes the interface name %j',
    (ifname) => {
      expect(parseEnvironment({ ...add, CNI_IFNAME: ifname }).ifname).toBe(ifname);
    },
  );

  test.each(['A', 'A=B=C', ';', '=x', 'A=1;'])('refuses CNI_ARGS %j', (args) => {
    expect(errorOf({ ...add, CNI_ARGS: args })).toMatchObject({ code: 4 });
  });

  test('minds unknown CNI_ARGS only of a plugin that has known ones', () => {
    const variables = { ...add, CNI_ARGS: 'FOO=1;MAC=02:00:00:00:00:01' };
    expect(parseEnvironment(variables).args.get('FOO')).toBe('1');
    expect(errorOf(variables, ['MAC']).message).toContain('FOO');
    expect(errorOf(variables, ['MAC']).message).not.toContain('MAC');
    for (const value of ['0', 'false', 'yes', '']) {
      const error = errorOf({ ...variables, CNI_ARGS: `FOO=1;IgnoreUnknown=${value}` }, ['MAC']);
      expect(error.message).toContain('FOO');
    }
  });
});
