import { CniError, ErrorCode } from '../../cni/errors.ts';
import { readFileSync } from '../../kernel/files.ts';
import { ioFailure } from '../io-failure.ts';

/** A file's text; `what` it is stands in the CniError 5 for one that can't be read or is empty. */
export const readRequired = (path: string, what: string): string => {
  let text: string;
  try {
    text = readFileSync(path);
  } catch (error) {
    throw ioFailure(`read the ${what} ${path}`, error);
  }
  if (text.trim() !== '') return text;
  throw new CniError(ErrorCode.ioFailure, `the ${what} ${path} is empty`);
};
