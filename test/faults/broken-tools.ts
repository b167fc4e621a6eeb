import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { programPath, systemPath } from '../support/process.ts';
import type { TestHost } from '../support/test-host.ts';

const directory = '/run/broken';

/**
 * Puts a program of that name in front of the system's, for calls with `brokenEnv`. Where its arguments
 * or its input match the shell pattern `when`, it runs `script`, else what the true one does; in the
 * script, `real` does that too.
 */
export const breakTool = async (
  host: TestHost,
  tool: string,
  when: string,
  script: string,
): Promise<void> => {
  mkdirSync(host.path(directory), { recursive: true });
  const file = host.path(`${directory}/${tool}`);
  writeFileSync(
    file,
    `#!/bin/sh
arguments=$*
[ "$1" = link ] || input=$(cat)
real() { printf '%s\n' "$input" | ${programPath(tool)} "$@"; }
case "$arguments $input" in
${when}) ;;
*) real "$@"; exit ;;
esac
${script}
`,
  );
  chmodSync(file, 0o755);
};

/** Patterns that tell what `ip` is asked for during an ADD, and during a DEL. */
export const ofHost = "*'peer name'*";
export const ofPod = "*'dev eth0 up'*";
export const ofDel = "*'link delete'*";

/** Takes the programs of `breakTool` away again. */
export const mendTools = (host: TestHost): Promise<string> => host.exec(['rm', '-rf', directory]);

export const brokenEnv = { PATH: `${directory}:${systemPath}` };

/** Runs `body` while a program is not executable on the host; what it links to is hidden with it. */
export const withoutTool = async (
  host: TestHost,
  tools: string[],
  body: () => Promise<void>,
): Promise<void> => {
  await host.shell(': >/run/not-executable; chmod 0644 /run/not-executable');
  const paths = new Set(
    await Promise.all(tools.map((tool) => host.exec(['readlink', '-f', programPath(tool)]))),
  );
  for (const path of paths) await host.exec(['mount', '--bind', '/run/not-executable', path.trim()]);
  try {
    await body();
  } finally {
    for (const path of paths) await host.exec(['umount', path.trim()]);
  }
};
