import { CniError, ErrorCode, toCniError } from '../../cni/errors.ts';
import {
  accessSync,
  closeSync,
  constants,
  dirname,
  existsSync,
  openSync,
  unlinkSync,
  writeFully,
} from '../../kernel/files.ts';
import type { Place } from './files.ts';

/** What would stop an ADD is reported as "not available" (SPEC.md, "STATUS"); a busy lock passes as it is. */
export const asUnavailable = async (body: () => Promise<void>): Promise<void> => {
  try {
    await body();
  } catch (error) {
    const { code, message, details } = toCniError(error);
    if (code === ErrorCode.tryAgainLater) throw error;
    throw unavailable(message, details, error);
  }
};

/** CniError 50. */
export const unavailable = (message: string, details: string | undefined, cause?: unknown): CniError =>
  new CniError(ErrorCode.notAvailable, message, { details, cause });

/** The nearest directory that exists must take new files. Throws the system's error. */
export const checkWritable = (directory: string): void => {
  let existing = directory;
  while (!existsSync(existing)) existing = dirname(existing);
  accessSync(existing, constants.W_OK | constants.X_OK);
};

/** Writes a file, which shows a full disk, a quota and a size limit; in our own directory, if there is one. */
export const probe = ({ indexDirectory }: Place): void => {
  if (!existsSync(indexDirectory)) return;
  const file = `${indexDirectory}/probe`;
  const fd = openSync(file, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC, 0o600);
  try {
    writeFully(fd, 'probe');
  } finally {
    closeSync(fd);
    unlinkSync(file);
  }
};
