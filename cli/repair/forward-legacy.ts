import type { ForwardRule, ForwardTable } from './forward-table.ts';

/** Reads what `iptables-legacy-save -t filter` prints. */
export const parseLegacyTable = (label: string, text: string): ForwardTable => {
  const lines = text.split('\n');
  const policy = lines.some((line) => /^:FORWARD DROP /.test(line)) ? 'drop' : 'accept';
  return {
    label,
    base: [{ chain: 'FORWARD', policy }],
    rules: lines.filter((line) => line.startsWith('-A ')).map(parseRule),
    setNames: [],
  };
};

const parseRule = (line: string): ForwardRule => {
  const [, chain = '', ...words] = line.replace(COMMENT, '').trim().split(/\s+/);
  const rule: ForwardRule = { chain, conditional: false, names: [] };
  for (let index = 0; index < words.length; index++) {
    const [option = '', value = ''] = words.slice(index, index + 2);
    if (option === '-j' || option === '-g') {
      if (value === 'ACCEPT') rule.verdict = 'accept';
      else if (value === 'DROP' || value === 'REJECT') rule.verdict = 'drop';
      else rule.target = value;
      // What follows are the target's own options.
      break;
    }
    rule.conditional = true;
    if (/^-[sdio]$/.test(option)) rule.names.push(value.replace(/\+$/, '*'));
  }
  return rule;
};

const COMMENT = /-m comment --comment ("(\\.|[^"\\])*"|\S+)/g;
