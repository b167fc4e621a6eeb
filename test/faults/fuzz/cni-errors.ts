import { CniError, ErrorCode } from '../../../shared/cni/errors.ts';

const codes: readonly number[] = Object.values(ErrorCode).filter((code) => code !== ErrorCode.internal);

/** Error messages are for one line of a log. */
const longestMessage = 1000;

/**
 * What a function returns, undefined when it throws an error as a plugin may end with. Throws whatever
 * else it throws: anything but a CniError, code 999, a message of several lines or without end.
 */
export const orCniError = <T>(work: () => T): T | undefined => {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    const { code, message, details } = error;
    if (!codes.includes(code)) throw new Error(`code ${code}: ${message}`, { cause: error });
    if (message === '' || message.length > longestMessage || /[\p{Cc}\u2028\u2029]/u.test(message))
      throw new Error(`the message ${JSON.stringify(message.slice(0, 2000))}`, { cause: error });
    if ((details?.length ?? 0) > 5 * longestMessage)
      throw new Error(`${details?.length} characters of details`);
    return undefined;
  }
};
