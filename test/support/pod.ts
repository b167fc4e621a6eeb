import { expectSuccess, type Outcome, type Running, type RunOptions } from './process.ts';
import type { TestHost } from './test-host.ts';

/** One address of an interface as `ip -j addr` reports it. */
export interface PodAddress {
  family: 'inet' | 'inet6';
  local: string;
  prefixlen: number;
  scope: string;
}

/** A container's network namespace on a host. It shares the host's files, as a CNI plugin's view does. */
export class Pod {
  readonly host: TestHost;
  readonly name: string;
  /** What a runtime passes as CNI_NETNS; valid inside the host. */
  readonly netns: string;

  constructor(host: TestHost, name: string) {
    this.host = host;
    this.name = name;
    this.netns = `/run/netns/${name}`;
  }

  start(argv: string[], options: RunOptions = {}): Running {
    return this.host.start(argv, options, this.host.path(this.netns));
  }

  attempt(argv: string[], options: RunOptions = {}): Promise<Outcome> {
    return this.start(argv, options).outcome;
  }

  async exec(argv: string[], options: RunOptions = {}): Promise<string> {
    return expectSuccess(await this.attempt(argv, options));
  }

  shell(script: string, options: RunOptions = {}): Promise<string> {
    return this.exec(['/bin/sh', '-ec', script], options);
  }

  /** The addresses of one interface; none when the interface is missing. */
  async addresses(ifname: string): Promise<PodAddress[]> {
    const { exitCode, stdout } = await this.attempt(['ip', '-j', 'addr', 'show', 'dev', ifname]);
    if (exitCode !== 0) return [];
    return (JSON.parse(stdout) as { addr_info?: PodAddress[] }[]).flatMap((link) => link.addr_info ?? []);
  }

  /** Removes the namespace, and what is in it, as a container that died before its DEL. */
  async remove(): Promise<void> {
    await this.host.exec(['ip', 'netns', 'del', this.name]);
    const index = this.host.pods.indexOf(this);
    if (index >= 0) this.host.pods.splice(index, 1);
  }
}

/** Where a program can be run: a host or a pod. */
export type Place = TestHost | Pod;
