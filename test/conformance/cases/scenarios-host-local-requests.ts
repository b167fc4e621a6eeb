import { expect } from 'vitest';
import { reservations } from '../../plugins/kernel-state.ts';
import { type Case, only } from '../suite/case.ts';
import { expectError } from '../suite/expectations.ts';
import type { CallOptions, Trial } from '../suite/trial.ts';

const ranges = [[{ subnet: '10.30.0.0/16' }, { subnet: '10.31.0.0/16' }], [{ subnet: 'fd30::/64' }]];

interface Request {
  /** CNI_ARGS. */
  environment?: string;
  /** args.cni.ips */
  args?: string[];
  /** runtimeConfig.ips */
  capability?: string[];
}

const callOptions = (trial: Trial, { environment, args, capability }: Request): CallOptions => ({
  ...(environment !== undefined && { args: `IgnoreUnknown=1;IP=${environment}` }),
  config: {
    ...trial.ipamConfig({ ranges }),
    ...(args !== undefined && { args: { cni: { ips: args } } }),
    ...(capability !== undefined && { runtimeConfig: { ips: capability } }),
  },
});

const granted = (name: string, request: Request, expected: string[]): Case => ({
  id: `host-local-requested-${name}`,
  covers: ['E7'],
  title: `gives ${expected.join(' and ')} when asked ${JSON.stringify(request)}`,
  applies: only('host-local'),
  versions: 'newest',
  run: async (trial) => {
    const container = await trial.container();
    await container.add(callOptions(trial, request));
    expect(container.addresses).toEqual(expected);
    expect((await reservations(trial.host, 'pods')).toSorted()).toEqual(expected.toSorted());
    await container.del(callOptions(trial, request));
    expect(await reservations(trial.host, 'pods')).toEqual([]);
  },
});

const denied = (name: string, request: Request): Case => ({
  id: `host-local-denied-${name}`,
  covers: ['A2'],
  title: `fails, and reserves nothing, when asked ${JSON.stringify(request)}`,
  applies: only('host-local'),
  versions: 'newest',
  run: async (trial) => {
    const container = await trial.container();
    expectError(await container.attempt('ADD', callOptions(trial, request)));
    expect(await reservations(trial.host, 'pods')).toEqual([]);
  },
});

/** Addresses that a caller asks host-local for. */
export const hostLocalRequestScenarios: readonly Case[] = [
  granted('in-environment', { environment: '10.30.0.77' }, ['10.30.0.77', 'fd30::2']),
  granted('in-args', { args: ['10.30.0.77'] }, ['10.30.0.77', 'fd30::2']),
  granted('by-capability', { capability: ['10.30.0.77'] }, ['10.30.0.77', 'fd30::2']),
  granted('with-prefix', { capability: ['10.30.0.77/16', 'fd30::77/64'] }, ['10.30.0.77', 'fd30::77']),
  granted('of-the-second-family', { args: ['fd30::77'] }, ['10.30.0.2', 'fd30::77']),
  granted('of-the-second-range', { args: ['10.31.0.77'] }, ['10.31.0.77', 'fd30::2']),
  granted('of-both-families', { environment: '10.30.0.77', args: ['fd30::77'] }, ['10.30.0.77', 'fd30::77']),
  denied('outside', { args: ['10.99.0.77'] }),
  denied('unused', { capability: ['10.30.0.77', '10.31.0.77'] }),
  denied('gateway', { args: ['10.30.0.1'] }),
  denied('network', { environment: '10.30.0.0' }),
  denied('no-address', { environment: 'nonsense' }),
  {
    id: 'host-local-denied-taken',
    covers: ['A2'],
    title: 'fails when asked for an address that somebody has',
    applies: only('host-local'),
    versions: 'newest',
    run: async (trial) => {
      const options = callOptions(trial, { capability: ['10.30.0.77', 'fd30::77'] });
      const [first, second] = [await trial.container(), await trial.container()];
      await first.add(options);
      expectError(await second.attempt('ADD', options));
      await second.del(options);
      expect((await reservations(trial.host, 'pods')).toSorted()).toEqual(['10.30.0.77', 'fd30::77']);
    },
  },
];
