import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseRemovalKeys } from '../../../shared/attachment/network-keys.ts';
import { parseConfig, peekVersion, validAttachments } from '../../../shared/cni/config.ts';
import { parseEnvironment } from '../../../shared/cni/environment.ts';
import { type Call, type Command, conventionalArgs } from '../../../shared/cni/plugin.ts';
import { orCniError } from './cni-errors.ts';
import { allVariables, type Variables } from './environments.ts';
import { fuzzedPlugins } from './fuzzed-plugins.ts';
import { hostileValue } from './hostile.ts';
import { mutated, toText } from './mutations.ts';
import { holds, seed } from './settings.ts';

console.log(`fuzzing with seed ${seed}`);

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const command = fc.constantFrom<Command>('ADD', 'DEL', 'CHECK', 'GC', 'STATUS');

const callOf = (stdin: Uint8Array, given: Variables, verb: Command): Call => ({
  env: parseEnvironment({ ...given, CNI_COMMAND: verb }, conventionalArgs),
  config: parseConfig(stdin, verb, '0.1.0'),
  stdin,
  findBuiltin: () => undefined,
  checkpoint: async () => {},
});

test('any environment is understood, or refused with an error that fits on a line', () => {
  holds(
    fc.property(allVariables, fc.boolean(), (variables, isKnown) => {
      const env = orCniError(() => parseEnvironment(variables, isKnown ? conventionalArgs : undefined));
      if (env !== undefined)
        expect(['ADD', 'DEL', 'CHECK', 'GC', 'STATUS', 'VERSION']).toContain(env.command);
    }),
    4000,
  );
});

test('any bytes on stdin are a configuration, or refused with an error that fits on a line', () => {
  const anything = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.string({ unit: 'binary' }).map(encode),
    fc.json().map(encode),
    hostileValue.map((value) => encode(toText(value))),
  );
  holds(
    fc.property(anything, command, (stdin, verb) => {
      orCniError(() => parseConfig(stdin, verb, '0.1.0'));
      peekVersion(stdin);
    }),
    4000,
  );
});

// Each word of each line is one word for `ip`, whatever the configuration holds.
const line = /^(link|address|route|rule|vlan|qdisc|class|filter|-[AIN])( [^\s"'\\#\p{Cc}]+)+$/u;

describe.for(fuzzedPlugins)('a configuration of $type', ({ valid, plan, chainedTo = 'eth0' }) => {
  const usual = {
    CNI_CONTAINERID: 'fuzzed',
    CNI_NETNS: '/run/netns/x',
    CNI_IFNAME: chainedTo,
    CNI_PATH: '/x',
  };

  test('that is valid is accepted', () => {
    holds(
      fc.property(valid, (config) => void plan(callOf(encode(JSON.stringify(config)), usual, 'ADD'))),
      300,
    );
  });

  test('that is spoilt gives a plan of plain words, or an error that fits on a line', () => {
    holds(
      fc.property(mutated(valid), allVariables, fc.nat(7), (stdin, variables, choice) => {
        const given = choice === 0 ? variables : usual;
        const batches = orCniError(() => plan(callOf(stdin, given, 'ADD'))) ?? [];
        for (const text of batches.flatMap((batch) => batch.split('\n').slice(0, -1)))
          expect(text).toMatch(line);
      }),
      1500,
    );
  });

  test('that is spoilt does not keep DEL and GC from what they need to know', () => {
    holds(
      fc.property(mutated(valid), command, (stdin, verb) => {
        const config = orCniError(() => parseConfig(stdin, verb, '0.1.0'));
        if (config === undefined) return;
        const keys = parseRemovalKeys(config.json);
        expect(Object.values(keys).map((value) => typeof value)).toEqual(['string', 'boolean', 'boolean']);
        orCniError(() => validAttachments(config.json));
      }),
      600,
    );
  });
});
