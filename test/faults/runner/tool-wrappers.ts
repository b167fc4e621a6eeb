import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { programPath, systemPath } from '../../support/process.ts';
import type { TestHost } from '../../support/test-host.ts';
import { parseTrace, readsStdinOrOpensSocket, type Step, stepsOf, tracedCalls } from './trace.ts';

const directory = '/run/traced';

/** PATH for a plugin call whose tools are to be traced. */
export const wrappersPath = `${directory}/bin:${systemPath}`;

/**
 * Puts a program of that name in front of each tool, which runs it under strace. A tool is known by its role:
 * name, in which netns (`host` or `pod`), and which one of these it is, such as `ip-pod-1`.
 */
export const installWrappers = async (host: TestHost, names: readonly string[]): Promise<void> => {
  const netns = (await host.exec(['readlink', '/proc/self/ns/net'])).trim();
  mkdirSync(host.path(`${directory}/bin`), { recursive: true });
  for (const name of names) {
    const file = host.path(`${directory}/bin/${name}`);
    writeFileSync(file, wrapper(name, netns));
    chmodSync(file, 0o755);
  }
};

/** The steps of each tool of a call that ran with `wrappersPath`. */
export const toolSteps = (host: TestHost): Map<string, Step[]> =>
  new Map(
    readdirSync(host.path(`${directory}/out`)).map((role) => {
      const text = readFileSync(host.path(`${directory}/out/${role}`), 'utf8');
      return [role, stepsOf([...parseTrace(text).values()][0] ?? [], readsStdinOrOpensSocket)];
    }),
  );

/** For the next call: traces all tools, or kills the one of that role at a step. */
export const prepareWrappers = (host: TestHost, role?: string, { syscall, n }: Partial<Step> = {}): void => {
  for (const part of ['seen', 'out', 'options']) {
    rmSync(host.path(`${directory}/${part}`), { recursive: true, force: true });
    mkdirSync(host.path(`${directory}/${part}`));
  }
  if (role === undefined) return;
  const options = `-e trace=${syscall} -e inject=${syscall}:signal=SIGKILL:when=${n}\n`;
  writeFileSync(host.path(`${directory}/options/${role}`), options);
};

/** Whether the tool of that role was killed. */
export const wasKilled = (host: TestHost, role: string): boolean => {
  try {
    return readFileSync(host.path(`${directory}/out/${role}`), 'utf8').includes('+++ killed by SIGKILL +++');
  } catch {
    // It was not started this time.
    return false;
  }
};

const wrapper = (name: string, netns: string): string => `#!/bin/sh
role=${name}-pod
[ "$(readlink /proc/self/ns/net)" != '${netns}' ] || role=${name}-host
n=1
while ! mkdir ${directory}/seen/$role-$n 2>/dev/null; do n=$((n + 1)); done
role=$role-$n
options='-e ${tracedCalls}'
[ ! -e ${directory}/options/$role ] || read -r options <${directory}/options/$role
exec ${programPath('strace')} -q -o ${directory}/out/$role $options ${programPath(name)} "$@"
`;
