import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { libc } from '../shared/kernel/libc.ts';

/** Writes to stdout, whole, before it returns. A reader that went away (`| head`) is no error. */
export const writeOut = (text: string): void => writeAll(1, text);

/** Writes to stderr, as `writeOut`. */
export const writeErr = (text: string): void => writeAll(2, text);

/** How text is emphasised; without colours every function returns its argument. */
export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
}

export const plainStyle: Style = { bold: same, dim: same, red: same, green: same };

/** The style for file descriptor 1 or 2: colours on a terminal, unless NO_COLOR is set (no-color.org). */
export const styleFor = (fd: 1 | 2): Style => {
  const { NO_COLOR, TERM } = process.env;
  const coloured = isatty(fd) && (NO_COLOR ?? '') === '' && TERM !== 'dumb';
  return coloured ? ansiStyle : plainStyle;
};

/** How many columns fit there: of the terminal, else as COLUMNS says, else 80. */
export const columnsOf = (fd: 1 | 2): number => {
  const size = new Uint16Array(4);
  if (isatty(fd) && libc().ioctl(fd, TIOCGWINSZ, size) === 0 && (size[1] ?? 0) > 0) return size[1] as number;
  const { COLUMNS = '' } = process.env;
  return /^[1-9]\d{0,4}$/.test(COLUMNS) ? Number(COLUMNS) : 80;
};

const TIOCGWINSZ = 0x5413;

const sgr = (on: number, off: number) => (text: string) => `\u001b[${on}m${text}\u001b[${off}m`;

const ansiStyle: Style = { bold: sgr(1, 22), dim: sgr(2, 22), red: sgr(31, 39), green: sgr(32, 39) };

function same(text: string): string {
  return text;
}

const writeAll = (fd: number, text: string): void => {
  let rest: Uint8Array = new TextEncoder().encode(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // A pipe that another process made non-blocking is full: give its reader a moment.
      if (code === 'EAGAIN') Bun.sleepSync(5);
      else if (code === 'EPIPE' || code === 'EBADF') return;
      else throw error;
    }
  }
};
