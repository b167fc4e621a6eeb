import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import { show } from '../../shared/cni/fields.ts';
import { readFileSync } from '../../shared/kernel/files.ts';
import { failedWith, ioFailure } from '../../shared/store/io-failure.ts';

/** Regular expressions, one on a line; a sysctl must match one of them. Without the file all are allowed. */
const ALLOW_LIST = '/etc/cni/tuning/allowlist.conf';

/** Throws CniError 7 for a key that the node's allow-list does not allow, or 5 when it can't be read. */
export const requireAllowed = (keys: readonly string[]): void => {
  const lines = keys.length === 0 ? undefined : readAllowList();
  if (lines === undefined) return;
  const patterns = lines.map(toPattern);
  const refused = keys.find((key) => !patterns.some((pattern) => pattern.test(key)));
  if (refused === undefined) return;
  throw new CniError(
    ErrorCode.invalidNetworkConfig,
    `the sysctl ${show(refused)} is not allowed on this node`,
    { details: `${ALLOW_LIST} allows only: ${lines.join(', ')}` },
  );
};

const readAllowList = (): string[] | undefined => {
  try {
    return parseAllowList(readFileSync(ALLOW_LIST));
  } catch (error) {
    if (failedWith(error, 'ENOENT')) return undefined;
    throw ioFailure(`read the allow-list ${ALLOW_LIST}`, error);
  }
};

/** The lines that are not empty, without the spaces around them. */
const parseAllowList = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');

/**
 * A line in the syntax of Go's regexp, for which the file is written: flags at its head, POSIX classes, `\A`
 * and `\z` are the parts of it that JavaScript writes in another way. Throws CniError 7 for one that is no
 * expression, or that would mean something else here.
 */
export const toPattern = (line: string): RegExp => {
  const [, flags = '', body = line] = /^\(\?([ims]+)\)(.*)$/.exec(line) ?? [];
  try {
    const foreign = FOREIGN.exec(body)?.[0];
    if (foreign !== undefined) throw new SyntaxError(`"${foreign}" is not supported`);
    const translated = body
      .replace(/\[:(\w+):\]/g, (whole, name: string) => POSIX_CLASSES[name] ?? whole)
      .replaceAll('\\A', '^')
      .replaceAll('\\z', '$');
    return new RegExp(translated, flags);
  } catch (cause) {
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      `the allow-list ${ALLOW_LIST} has a line that cannot be used: ${show(line)}`,
      { details: `${(cause as Error).message}. Correct or remove the line.`, cause },
    );
  }
};

/** Quoting, Unicode classes, negated POSIX classes, and flags within an expression. */
const FOREIGN = /\\[QECpP]|\[:\^|\(\?[a-zA-Z-]+[:)]/;

const POSIX_CLASSES: Record<string, string> = {
  alnum: '0-9A-Za-z',
  alpha: 'A-Za-z',
  digit: '0-9',
  lower: 'a-z',
  upper: 'A-Z',
  word: '0-9A-Za-z_',
  xdigit: '0-9A-Fa-f',
  punct: '!-\\/:-@[-`{-~',
  space: '\\t\\n\\v\\f\\r ',
  blank: '\\t ',
};
