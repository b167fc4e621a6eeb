import type { Findings } from '../attachment/check-pod.ts';
import { findShapingLacks } from './lacks.ts';
import type { ShapingPlan } from './plan.ts';
import { readShapingState } from './state.ts';

/** CHECK: adds to `findings` where the kernel has not what the plan wants. */
export const checkShaping = (plan: ShapingPlan, findings: Findings): void => {
  for (const { what } of findShapingLacks(plan, readShapingState(plan))) findings.add(what);
};
