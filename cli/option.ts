import { InvalidArgumentError, Option } from 'commander';

/** An option whose value `parse` reads; an Error it throws is shown as wrong usage, with its message. */
export const valueOption = <T>(flags: string, description: string, parse: (text: string) => T): Option =>
  new Option(flags, description).argParser((text: string) => asUsage(parse, text));

/** As `valueOption`, for an option that may be given more than once: its value is a list. */
export const listOption = <T>(flags: string, description: string, parse: (text: string) => T): Option =>
  new Option(flags, description).argParser((text: string, before: T[] | undefined) => [
    ...(before ?? []),
    asUsage(parse, text),
  ]);

const asUsage = <T>(parse: (text: string) => T, text: string): T => {
  try {
    return parse(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
};
