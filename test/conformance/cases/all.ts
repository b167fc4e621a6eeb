import type { Case } from '../suite/case.ts';
import { addCases } from './add.ts';
import { checkCases } from './check.ts';
import { delegationCases } from './delegation.ts';
import { deleteCases } from './delete.ts';
import { environmentCases } from './environment.ts';
import { gcCases } from './gc.ts';
import { inputCases } from './input.ts';
import { processCases } from './process.ts';
import { resultCases } from './results.ts';
import { scenarioCases } from './scenarios.ts';
import { statusCases } from './status.ts';

/** Every case of the suite. */
export const allCases: readonly Case[] = [
  ...processCases,
  ...environmentCases,
  ...inputCases,
  ...addCases,
  ...deleteCases,
  ...checkCases,
  ...statusCases,
  ...gcCases,
  ...resultCases,
  ...delegationCases,
  ...scenarioCases,
];
