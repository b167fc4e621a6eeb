import { expect, test } from 'vitest';
import { emptyState, type NodeState, outdates } from './node-state.ts';

const block = (cidr: string) => ({ cidr, pool: 'all' });
const former: NodeState = {
  ...emptyState('n1', 'memory'),
  blocks: [block('10.0.0.0/28'), block('10.0.0.16/28')],
  fixed: { '10.0.0.5': { pool: 'all', isOurs: false } },
};

const cases: [string, Partial<NodeState>, boolean][] = [
  ['nothing', {}, false],
  ['the time of the last sync', { confirmedAt: 5, retryAt: 7 }, false],
  ['a further block', { blocks: [...former.blocks, block('10.0.0.32/28')] }, false],
  ['the order of blocks', { blocks: former.blocks.toReversed() }, false],
  ['one block less', { blocks: former.blocks.slice(1) }, true],
  ['one block for another', { blocks: [block('10.0.0.0/28'), block('10.0.0.32/28')] }, true],
  ['another fixed address', { fixed: { ...former.fixed, '10.0.0.6': { pool: 'all', isOurs: true } } }, true],
  ['the holder of a fixed address', { fixed: { '10.0.0.5': { pool: 'all', isOurs: true } } }, true],
];

test.for(cases)('what changed is %s', ([, change, isDangerous]) => {
  expect(outdates({ ...former, ...change }, former)).toBe(isDangerous);
});
