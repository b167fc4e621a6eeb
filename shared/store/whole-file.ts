import { dirname, mkdirSync, renameSync, unlinkSync, writeFileSync } from '../kernel/files.ts';
import { failedWith } from './io-failure.ts';

/**
 * Writes or replaces a file that only root may read, whole or not at all: under another name, by which a writer
 * that is killed leaves the old file as it was. Makes its directory where that is missing. Throws the system's
 * error, with nothing left of the attempt.
 */
export const writeWhole = (file: string, text: string): void => {
  const temporary = unfinished(file);
  try {
    writePrivately(temporary, text);
    renameSync(temporary, file);
  } catch (error) {
    removeIfThere(temporary);
    throw error;
  }
};

/**
 * Where a file is written before it takes its name: one for each, so that what a killed writer leaves is found
 * by whoever removes the file. For names that never begin with a dot.
 */
export const unfinished = (file: string): string => {
  const slash = file.lastIndexOf('/') + 1;
  return `${file.slice(0, slash)}.${file.slice(slash)}`;
};

const writePrivately = (file: string, text: string): void => {
  const write = () => writeFileSync(file, text, { mode: 0o600 });
  try {
    write();
  } catch (error) {
    if (!failedWith(error, 'ENOENT')) throw error;
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    write();
  }
};

const removeIfThere = (file: string): void => {
  try {
    unlinkSync(file);
  } catch {
    // It was never made.
  }
};
