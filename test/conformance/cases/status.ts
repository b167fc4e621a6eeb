import { expect } from 'vitest';
import { withoutTool } from '../../faults/broken-tools.ts';
import { findProgram } from '../../support/process.ts';
import { leftovers, nothing, snapshot } from '../../support/snapshot.ts';
import { type Case, delegatingPlugins, every, from, only } from '../suite/case.ts';
import { expectError, expectSilence } from '../suite/expectations.ts';
import { FakeDelegate } from '../suite/fake-delegate.ts';

/** Programs that a plugin may need, taken away together. */
const toolSets = [
  ['nft'],
  ['iptables', 'iptables-restore', 'iptables-nft-restore', 'iptables-legacy-restore'],
  ['nft', 'iptables', 'iptables-restore', 'iptables-nft-restore', 'iptables-legacy-restore'],
  ['ip'],
  ['tc'],
];

/** What STATUS does. */
export const statusCases: readonly Case[] = [
  {
    id: 'status-good',
    covers: ['S1'],
    title: 'STATUS succeeds where ADD would, prints nothing and changes nothing',
    applies: every,
    versions: from('1.1.0'),
    run: async (trial) => {
      const state = await snapshot(trial.host);
      expectSilence(await trial.callNetwork('STATUS', trial.config()));
      expect(leftovers(state, await snapshot(trial.host))).toEqual(nothing);
    },
  },
  {
    id: 'status-exhausted',
    covers: ['S1', 'S2'],
    title: 'STATUS is error 50 when no address is free, and good again when one is',
    applies: only('host-local', 'bridge', 'ptp', 'vxlan'),
    versions: from('1.1.0'),
    run: async (trial) => {
      const ranges = [[{ subnet: '10.30.0.0/16', rangeStart: '10.30.0.9', rangeEnd: '10.30.0.9' }]];
      const config = trial.ipamConfig({ ranges });
      const container = await trial.container({ config });
      await container.add();
      expectError(await trial.callNetwork('STATUS', config), 50);
      expectError(await (await trial.container({ config })).attempt('ADD'));
      await container.del();
      expectSilence(await trial.callNetwork('STATUS', config));
    },
  },
  {
    id: 'status-without-the-delegate',
    covers: ['S1', 'S2'],
    title: 'STATUS fails when the delegate is not there',
    applies: delegatingPlugins,
    versions: from('1.1.0'),
    run: async (trial) => {
      expectError(await trial.callNetwork('STATUS', trial.config({ ipam: { type: 'not-there' } })));
    },
  },
  {
    id: 'status-agrees-with-add',
    covers: ['S1'],
    title: 'without nft, iptables, ip or tc, STATUS is error 50 or 51 exactly when ADD fails',
    applies: every,
    versions: from('1.1.0'),
    run: async (trial) => {
      for (const tools of toolSets) {
        const installed = tools.filter((tool) => findProgram(tool) !== undefined);
        const container = await trial.container();
        let served = false;
        await withoutTool(trial.host, installed, async () => {
          const status = await trial.callNetwork('STATUS', trial.config());
          const added = await container.attempt('ADD');
          served = added.exitCode === 0;
          expect({ tools, status: status.exitCode === 0 }).toEqual({ tools, status: served });
          if (!served) expectError(status, 50, 51);
        });
        await container.del();
      }
    },
  },
  {
    id: 'status-reaches-the-delegate',
    covers: ['S2', 'L4'],
    title: "STATUS is delegated, and the delegate's error comes back",
    applies: delegatingPlugins,
    versions: from('1.1.0'),
    run: async (trial) => {
      const delegate = await FakeDelegate.install(trial);
      const { config, path } = delegate;
      expectSilence(await trial.call('STATUS', { config, path }));
      expect(delegate.verbs()).toEqual(['STATUS']);
      for (const code of [50, 51]) {
        await delegate.on('STATUS', delegate.failure(code, 'no addresses today'));
        const error = expectError(await trial.call('STATUS', { config, path }), code);
        expect(error.msg).toContain('no addresses today');
      }
    },
  },
  {
    id: 'add-although-status-fails',
    covers: ['S3'],
    title: 'ADD and DEL do their work although STATUS has failed',
    applies: delegatingPlugins,
    versions: from('1.1.0'),
    run: async (trial) => {
      const delegate = await FakeDelegate.install(trial);
      const { config, path } = delegate;
      await delegate.on('STATUS', delegate.failure(50, 'no addresses today'));
      expectError(await trial.call('STATUS', { config, path }), 50);
      const container = await trial.container({ config });
      await container.add({ path });
      await container.del({ path });
      expect(delegate.verbs()).toEqual(['STATUS', 'ADD', 'DEL']);
    },
  },
];
