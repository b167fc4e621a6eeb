import type { IptablesTable } from '../../shared/kernel/iptables.ts';

/**
 * Changes a table as `iptables-restore` would change the kernel's: `-N`, `-A`, `-I` (with a place in the
 * chain, or at its head), `-D`.
 */
export const carryOut = (commands: readonly string[], table: IptablesTable): void => {
  for (const command of commands) {
    const [, action, chain = '', place = '1', rest = ''] = COMMAND.exec(command) ?? [];
    const rule = `-A ${chain} ${rest}`;
    if (action === 'N') table.chains.push(chain);
    else if (action === 'A') table.rules.push(rule);
    else if (action === 'I') table.rules.splice(indexOf(table, chain, Number(place)), 0, rule);
    else if (action === 'D' && table.rules.includes(rule)) table.rules.splice(table.rules.indexOf(rule), 1);
  }
};

const COMMAND = /^-([NAID]) (\S+)(?: (\d+)(?= ))?(?: (.*))?$/;

/** Where the chain's rule of that number, from 1, is among all rules; the end when it has fewer. */
const indexOf = ({ rules }: IptablesTable, chain: string, place: number): number => {
  const own = [...rules.entries()].filter(([, rule]) => rule.startsWith(`-A ${chain} `));
  return own[place - 1]?.[0] ?? rules.length;
};
