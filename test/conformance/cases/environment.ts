import { expect } from 'vitest';
import { snapshot } from '../../support/snapshot.ts';
import { type Case, every, from, only } from '../suite/case.ts';
import { expectError } from '../suite/expectations.ts';
import { expectNothingLeft } from '../suite/leftovers.ts';
import { linkOf } from '../suite/links.ts';
import type { Trial } from '../suite/trial.ts';

type Verb = 'ADD' | 'CHECK' | 'DEL';

/** The variables that a verb cannot do without, beside CNI_COMMAND. */
const required: Record<Verb, string[]> = {
  ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
  CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
  DEL: ['CNI_CONTAINERID', 'CNI_IFNAME'],
};

const verbsOf = ({ version }: Trial): Verb[] =>
  from('0.4.0')(version) ? ['ADD', 'CHECK', 'DEL'] : ['ADD', 'DEL'];

/** Those that make sense of CNI_ARGS themselves, or whose delegate does. */
const argsReaders = only('bridge', 'ptp', 'vxlan', 'host-local', 'static', 'tuning');

/** Those that work in the netns, so that the host's own would be changed. */
const netnsUsers = only('bridge', 'ptp', 'vxlan', 'loopback', 'tuning', 'sbr');

const kubernetes =
  'K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=1-2-3';

/** What a plugin makes of the environment of a call. */
export const environmentCases: readonly Case[] = [
  {
    id: 'required-variables',
    covers: ['E1', 'E2'],
    title: 'each variable that a verb requires is missed when it is unset or empty',
    applies: every,
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      for (const verb of verbsOf(trial)) {
        for (const name of required[verb]) {
          for (const value of [undefined, '']) {
            const outcome = await container.attempt(verb, { env: { [name]: value } });
            expect(expectError(outcome, 4).msg, `${verb} without ${name}`).toContain(name);
          }
        }
      }
    },
  },
  {
    id: 'all-missing-variables-are-named',
    covers: ['E2'],
    title: 'when several variables are missing, one error names all of them',
    applies: every,
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      for (const verb of verbsOf(trial)) {
        const env = Object.fromEntries(required[verb].map((name) => [name, undefined]));
        const { msg } = expectError(await container.attempt(verb, { env }), 4);
        for (const name of required[verb]) expect(msg, verb).toContain(name);
      }
    },
  },
  {
    id: 'gc-needs-the-path',
    covers: ['E1', 'E2'],
    title: 'GC requires CNI_PATH, STATUS nothing but CNI_COMMAND',
    applies: every,
    versions: from('1.1.0'),
    run: async (trial) => {
      const config = trial.config({ 'cni.dev/valid-attachments': [] });
      const outcome = await trial.call('GC', { config, env: { CNI_PATH: undefined } });
      expect(expectError(outcome, 4).msg).toContain('CNI_PATH');
      // A delegate can not be found without it; a bridge can be without one.
      const env = ['ptp', 'vxlan'].includes(trial.profile.type) ? {} : { CNI_PATH: undefined };
      const plain = trial.profile.type === 'bridge' ? trial.config({ ipam: undefined }) : trial.config();
      const status = await trial.call('STATUS', { config: plain, env });
      expect(status).toMatchObject({ exitCode: 0, stdout: '' });
    },
  },
  {
    id: 'no-path-needed',
    covers: ['E3'],
    title: 'CNI_PATH is not needed where no other plugin is called',
    applies: ({ type }) => type !== 'ptp' && type !== 'vxlan',
    versions: 'newest',
    run: async (trial) => {
      const config = trial.profile.delegates ? trial.config({ ipam: undefined }) : trial.config();
      const container = await trial.container({ config });
      const env = { CNI_PATH: undefined };
      await container.add({ env });
      await container.del({ env });
    },
  },
  {
    id: 'container-id-refused',
    covers: ['E4'],
    title: 'a CNI_CONTAINERID with other characters, or with another first one, is error 4',
    applies: every,
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      const before = await snapshot(trial.host);
      expectError(await container.attempt('DEL', { containerId: '../x' }), 4);
      for (const containerId of ['-x', '_x', '../x', 'a b', 'a\nb', 'ä']) {
        const { msg } = expectError(await container.attempt('ADD', { containerId }), 4);
        expect(msg).toMatch(/container_?id/i);
      }
      await expectNothingLeft(trial, before);
    },
  },
  {
    id: 'container-id-accepted',
    covers: ['E4'],
    title: 'any other CNI_CONTAINERID is as good',
    applies: every,
    versions: 'newest',
    run: async (trial) => {
      for (const id of ['0', 'a_b.c-d', 'f'.repeat(64)]) {
        const container = await trial.container({ id });
        await container.add();
        await container.del();
      }
    },
  },
  {
    id: 'container-id-long',
    covers: ['E4'],
    title: 'a CNI_CONTAINERID may have 256 characters',
    applies: every,
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container({ id: 'x'.repeat(256) });
      await container.add();
      await container.del();
    },
  },
  {
    id: 'interface-name-refused',
    covers: ['E5'],
    title: 'a CNI_IFNAME that the kernel would not take is error 4',
    applies: every,
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      const before = await snapshot(trial.host);
      for (const ifname of ['.', '..', 'a/b', 'a:b', 'a b', 'a\tb', 'x'.repeat(16)]) {
        const { msg } = expectError(await container.attempt('ADD', { ifname }), 4);
        expect(msg).toMatch(/CNI_IFNAME|interface/i);
      }
      for (const verb of verbsOf(trial)) expectError(await container.attempt(verb, { ifname: 'a/b' }), 4);
      await expectNothingLeft(trial, before);
    },
  },
  {
    id: 'interface-name-accepted',
    covers: ['E5'],
    title: 'a CNI_IFNAME may have 15 bytes, with dots and other characters',
    applies: every,
    versions: 'newest',
    run: async (trial) => {
      for (const ifname of ['x'.repeat(15), 'eth0.100', 'a-b_c']) {
        const container = await trial.container({ ifname });
        await container.add();
        if (trial.profile.role === 'interface') expect(await linkOf(container.pod, ifname)).toBeDefined();
        await container.del();
      }
    },
  },
  {
    id: 'network-name-refused',
    covers: ['E6'],
    title: 'a network name with other characters, or with another first one, or none, is error 7',
    applies: every,
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      const before = await snapshot(trial.host);
      for (const name of [undefined, '', '../x', 'a b', '-a', 'a\nb', 'ä']) {
        const config = trial.config({ name });
        expect(expectError(await container.attempt('ADD', { config }), 7).msg).toContain('name');
      }
      expectError(await container.attempt('DEL', { config: trial.config({ name: '../x' }) }), 7);
      await expectNothingLeft(trial, before);
    },
  },
  {
    id: 'network-name-accepted',
    covers: ['E6'],
    title: 'any other network name is as good',
    applies: every,
    versions: 'newest',
    run: async (trial) => {
      for (const name of ['0', 'a.b_c-d', 'x'.repeat(64)]) {
        const container = await trial.container({ config: trial.config({ name }) });
        await container.add();
        await container.del();
        await container.pod.remove();
      }
    },
  },
  {
    id: 'args-refused',
    covers: ['E7', 'E2'],
    title: 'CNI_ARGS that are no pairs, and unknown keys in them, are error 4',
    applies: argsReaders,
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      for (const args of ['A', 'A=B=C', ';;', 'FOO=1', 'mac=02:00:00:00:00:01', 'FOO=1;IgnoreUnknown=0']) {
        const { code } = expectError(await container.attempt('ADD', { args }));
        expect({ args, code }).toEqual({ args, code: 4 });
      }
    },
  },
  {
    id: 'args-accepted',
    covers: ['E7'],
    title: 'with IgnoreUnknown the keys of Kubernetes, and any other, are no error',
    applies: every,
    versions: 'newest',
    run: async (trial) => {
      const all = ['', `IgnoreUnknown=1;${kubernetes}`, 'FOO=;IgnoreUnknown=true'];
      for (const args of all) {
        const container = await trial.container();
        await container.add({ args });
        await container.del({ args });
      }
    },
  },
  {
    id: 'own-netns-refused',
    covers: ['E8'],
    title: "the plugin's own netns is error 8, and nothing is changed there",
    applies: netnsUsers,
    versions: 'newest',
    run: async (trial) => {
      const container = await trial.container();
      const before = await snapshot(trial.host);
      for (const CNI_NETNS_OVERRIDE of [undefined, '0']) {
        const env = { CNI_NETNS_OVERRIDE };
        expectError(await container.attempt('ADD', { netns: '/proc/self/ns/net', env }), 8);
      }
      await expectNothingLeft(trial, before);
    },
  },
  {
    id: 'own-netns-override',
    covers: ['E8'],
    title: 'with CNI_NETNS_OVERRIDE the own netns is as good as any',
    applies: only('bridge'),
    versions: 'newest',
    run: async (trial) => {
      for (const CNI_NETNS_OVERRIDE of ['1', 'true']) {
        const container = await trial.container({
          ifname: 'host0',
          config: trial.config({ ipam: undefined, isGateway: false, ipMasq: false }),
        });
        const own = { netns: '/proc/self/ns/net', env: { CNI_NETNS_OVERRIDE } };
        await container.add(own);
        expect(await linkOf(trial.host, 'host0')).toBeDefined();
        await container.del(own);
        expect(await linkOf(trial.host, 'host0')).toBeUndefined();
      }
    },
  },
];
