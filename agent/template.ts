import { readFileSync } from 'node:fs';
import type { JsonObject } from '../shared/cni/types.ts';
import { ioFailure } from '../shared/store/io-failure.ts';
import { parseTemplate } from './conflist.ts';

/** The conflist of `--conflist-template`; undefined without one. Throws CniError 5, 6 or 7. */
export const readTemplate = (file: string | undefined): JsonObject | undefined => {
  if (file === undefined) return undefined;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw ioFailure(`read --conflist-template ${file}`, error);
  }
  return parseTemplate(text, file);
};
