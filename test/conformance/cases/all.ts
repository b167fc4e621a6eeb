import type { Case } from '../suite/case.ts';
import { processCases } from './process.ts';

/** Every case of the suite. */
export const allCases: readonly Case[] = [...processCases];
