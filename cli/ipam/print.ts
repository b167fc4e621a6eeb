import { writeOut } from '../terminal.ts';
import type { IpamFlags } from './network.ts';

/** Prints an object with `--json`, else what `text` makes of it. */
export const print = ({ json }: IpamFlags, object: object, text: () => string): void =>
  writeOut(json === true ? `${JSON.stringify(object, null, 2)}\n` : text());
