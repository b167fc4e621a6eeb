import { runIpBatch } from '../../shared/kernel/ip-batch.ts';
import { runTcBatch } from '../../shared/kernel/tc-batch.ts';
import { findShapingLacks, type ShapingLack } from '../../shared/shaping/lacks.ts';
import { mendShaping } from '../../shared/shaping/mend.ts';
import { ROOT_HANDLE } from '../../shared/shaping/plan.ts';
import { isShapingRecord, type ShapingRecord, shapingRecords } from '../../shared/shaping/record.ts';
import { readShapingState, type ShapingState } from '../../shared/shaping/state.ts';
import type { Lack } from './lack.ts';
import type { Repairer } from './repairer.ts';

/** What `bandwidth` has limited. */
export const shapingRepairer: Repairer = {
  root: shapingRecords,
  isComplete: ({ complete }) => complete === true,
  nftPlans: () => [],
  otherLacks: (record) => (isShapingRecord(record) ? shapingLacks(record) : []),
};

/** One lack for all of an attachment's, as its parts are made in one go: the filters name the ifb by its index. */
const shapingLacks = ({ shaping, hostIndex, hostInterface }: ShapingRecord): Lack[] => {
  const state = readShapingState(shaping);
  // Another interface has the name by now, or none: the network plugin's to mend.
  if (state.device?.index !== hostIndex) return [];
  const lacks = findShapingLacks(shaping, state);
  if (lacks.length === 0) return [];
  const what = lacks.map((lack) => lack.what).join('; ');
  const obstacle = obstacleOf(lacks, state);
  if (obstacle !== undefined) return [{ what, mend: { by: 'nobody', advice: obstacle } }];
  const run = (): void => {
    const { ip, tc } = mendShaping(shaping, state, lacks);
    runIpBatch(ip, `could not make the ifb of "${hostInterface}"`);
    runTcBatch(tc, `could not limit the bandwidth on "${hostInterface}"`);
  };
  return [{ what, mend: { by: 'call', run } }];
};

/** What somebody else put in the place of ours is not removed. */
const obstacleOf = (lacks: ShapingLack[], { root, ifb }: ShapingState): string | undefined => {
  const has = (part: ShapingLack['part']): boolean => lacks.some((lack) => lack.part === part);
  if (has('root') && root !== undefined && ![0, ROOT_HANDLE].includes(root.handle)) {
    return `somebody else set "${root.kind}" there; remove it, then repair again`;
  }
  if (has('ifb') && ifb !== undefined && ifb.kind !== 'ifb') return `remove "${ifb.name}", then repair again`;
  return undefined;
};
