import { styleFor, writeOut } from '../../cli/terminal.ts';

// What report.sh does for the parts of the demo that are no shell scripts, in the same looks.

const style = styleFor(1);

let step = 0;
let checks = 0;

export const heading = (title: string): void => {
  step += 1;
  writeOut(`\n${style.bold(`${step}. ${title}`)}\n`);
};

/** A command as one would type it on a node, and what it printed. */
export const shown = (node: string, command: string, output: string): void => {
  writeOut(`   ${style.dim(`${node} $ ${command}`)}\n${indented(output)}`);
};

/** A tick; or, when there are faults, these, and the demo ends. */
export const check = (text: string, faults: string[] = []): void => {
  if (faults.length > 0) {
    writeOut(`   ${style.red(`✗ ${text}`)}\n${indented(faults.slice(0, 20).join('\n'))}`);
    throw new Error(text);
  }
  checks += 1;
  writeOut(`   ${style.green('✓')} ${text}\n`);
};

export const done = (): void => writeOut(`\n${style.bold(`Done: ${checks} checks, all passed.`)}\n`);

export const indented = (text: string): string =>
  text === ''
    ? ''
    : `${text
        .trimEnd()
        .split('\n')
        .map((line) => `     ${line}`.trimEnd())
        .join('\n')}\n`;
