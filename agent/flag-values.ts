import { CniError, ErrorCode } from '../shared/cni/errors.ts';
import { show } from '../shared/cni/fields.ts';

/** The error for a flag whose value is wrong. */
export const invalidFlag = (flag: string, value: unknown, problem: string): CniError =>
  new CniError(ErrorCode.invalidNetworkConfig, `${flag} ${problem}, got ${show(value)}`, {
    details: 'See "podwire agent --help".',
  });

/** The error for a flag that is needed here, or makes no sense here. */
export const wrongFlags = (problem: string, details: string): CniError =>
  new CniError(ErrorCode.invalidNetworkConfig, problem, { details });

/** A whole number from `min` to `max`, both included; undefined when the flag was not given. */
export const wholeNumber = (
  flag: string,
  text: string | undefined,
  min: number,
  max: number,
): number | undefined => {
  if (text === undefined) return undefined;
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw invalidFlag(flag, text, `must be a whole number from ${min} to ${max}`);
};

/** One of some words; undefined when the flag was not given. */
export const oneOf = <T extends string>(
  flag: string,
  text: string | undefined,
  words: readonly T[],
): T | undefined => {
  if (text === undefined) return undefined;
  const word = words.find((candidate) => candidate === text);
  if (word !== undefined) return word;
  throw invalidFlag(flag, text, `must be ${words.slice(0, -1).join(', ')} or ${words.at(-1)}`);
};

/** The items of a flag that may be given several times and with several items joined by commas. */
export const listOf = (texts: readonly string[] | undefined): string[] =>
  (texts ?? [])
    .flatMap((text) => text.split(','))
    .map((item) => item.trim())
    .filter((item) => item !== '');
