import { existsSync, mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import type { PrintedResult } from '../support/call-plugin.ts';
import { lackingTools } from '../support/needs.ts';
import { expectSuccess, programPath, runProcess, systemPath } from '../support/process.ts';
import type { TestHost } from '../support/test-host.ts';

/** What the program in test/libcni is asked; keys as Go's decoder accepts them. */
export interface LibcniRequest {
  conflist: object;
  binDirs: string[];
  containerID: string;
  netNS: string;
  ifName?: string;
  args?: [string, string][];
  capabilityArgs?: object;
}

export interface LibcniReply {
  exitCode: number | undefined;
  /** The spec version of the result. */
  version?: string;
  /** In that version's type. */
  result?: PrintedResult;
  /** As libcni converts it to the newest version it knows. */
  newest?: PrintedResult;
  capabilities?: string[];
  /** Of a plugin's error object. */
  code?: number;
  /** A plugin's or libcni's own message. */
  msg?: string;
}

export type LibcniVerb = 'validate' | 'add' | 'check' | 'del' | 'cached';

const source = resolve(import.meta.dirname, '../libcni');
const goPath = '/usr/share/gocode';

/** Why the program cannot be built here, or undefined when it can. */
export const lackingLibcni = (): string | undefined => {
  const library = `${goPath}/src/github.com/containernetworking/cni/libcni`;
  return (
    lackingTools('go') ?? (existsSync(library) ? undefined : 'not installed: golang-github-appc-cni-dev')
  );
};

/** Compiles test/libcni against Debian's copy of the library, without any download; returns its path. */
export const buildLibcni = async (): Promise<string> => {
  const cache = resolve(import.meta.dirname, '../../node_modules/.cache/libcni');
  mkdirSync(cache, { recursive: true });
  // GOPATH mode, as Debian ships the library as bare source.
  const env = {
    PATH: systemPath,
    GO111MODULE: 'off',
    GOPATH: goPath,
    GOCACHE: `${cache}/go`,
    CGO_ENABLED: '0',
  };
  const build = `cd ${source} && ${programPath('go')} build -o ${cache}/libcni .`;
  expectSuccess(await runProcess(['/bin/sh', '-ec', build], { env, timeout: 120_000 }));
  return `${cache}/libcni`;
};

/** The spec versions this copy of the library knows. */
export const libcniVersions = async (program: string): Promise<string[]> =>
  JSON.parse(expectSuccess(await runProcess([program, 'versions']))) as string[];

/** Calls the library in a host. Its result cache is the usual one, /var/lib/cni. */
export const callLibcni = async (
  host: TestHost,
  program: string,
  verb: LibcniVerb,
  request: LibcniRequest,
): Promise<LibcniReply> => {
  const stdin = JSON.stringify({ ifName: 'eth0', cacheDir: '/var/lib/cni', ...request });
  const outcome = await host.attempt([program, verb], { stdin });
  if (outcome.stdout === '') throw new Error(`libcni ${verb} printed nothing: ${outcome.stderr}`);
  return { exitCode: outcome.exitCode, ...(JSON.parse(outcome.stdout) as object) };
};

/** The reply to a call that has to succeed; throws with the library's message when it did not. */
export const expectReply = (reply: LibcniReply): LibcniReply => {
  if (reply.exitCode === 0) return reply;
  throw new Error(`libcni: exit ${reply.exitCode}, code ${reply.code}: ${reply.msg}`);
};
