import { runIpBatch } from '../../shared/kernel/ip-batch.ts';
import { runTcBatch } from '../../shared/kernel/tc-batch.ts';
import { runForIfb } from '../../shared/shaping/apply.ts';
import { findShapingLacks, mendShaping } from '../../shared/shaping/lacks.ts';
import type { ShapingPlan } from '../../shared/shaping/plan.ts';
import { isShapingRecord, shapingRecords } from '../../shared/shaping/record.ts';
import { readShapingState } from '../../shared/shaping/state.ts';
import type { Lack } from './lack.ts';
import type { Repairer } from './repairer.ts';

/** What the `bandwidth` plugin made for attachments. */
export const bandwidthRepairer: Repairer = {
  root: shapingRecords,
  isComplete: ({ complete }) => complete === true,
  nftPlans: () => [],
  otherLacks: (record, look) => {
    // An interface of the same name that was made anew is not the one that was limited.
    if (!isShapingRecord(record) || look.link(record.hostInterface)?.index !== record.hostIndex) return [];
    return shapingLacks(record.shaping);
  },
};

/** The first lack mends all of them: `ip` makes what `tc` needs. */
const shapingLacks = (plan: ShapingPlan): Lack[] => {
  const state = readShapingState(plan);
  const lacks = findShapingLacks(plan, state);
  const run = (): void => {
    const { ip, tc } = mendShaping(plan, state, lacks);
    runForIfb(() => runIpBatch(ip, 'could not make the ifb'));
    runTcBatch(tc, `could not limit the bandwidth on "${plan.device}"`);
  };
  return lacks.map(({ what }, index) => ({
    what,
    mend: { by: 'call', run: index === 0 ? run : () => {} },
  }));
};
