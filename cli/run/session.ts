import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import type { Attachment } from '../../shared/cni/plugin.ts';
import { styleFor, writeErr, writeOut } from '../terminal.ts';
import { type AttachmentParameters, containerIdOf, netnsPath } from './attachment.ts';
import { ResultCache } from './cache.ts';
import { capabilityArgs } from './capability-flags.ts';
import { Interrupts } from './interrupt.ts';
import { type Network, parseNetworkList } from './network.ts';
import type { Runtime } from './runtime.ts';
import { argsFrom, capabilityJsonFrom, type Places, places, splitPath } from './settings.ts';
import type { VerbOptions } from './verb-options.ts';

const defaultTimeoutMs = 120_000;

/** Runs `body` with what the flags and the environment say; signals are caught meanwhile. */
export const withSession = async (
  options: VerbOptions,
  body: (session: Session) => Promise<void>,
): Promise<void> => {
  const interrupts = new Interrupts();
  try {
    await body(new Session(options, interrupts));
  } finally {
    interrupts.dispose();
  }
};

/** One call of `podwire run`: its flags, resolved. */
export class Session {
  readonly places: Places;
  readonly runtime: Runtime;
  readonly #options: VerbOptions;

  constructor(options: VerbOptions, interrupts: Interrupts) {
    this.#options = options;
    const flags = { ...options, ...(options.binDir && { binDir: options.binDir.flatMap(splitPath) }) };
    this.places = places(flags, process.env, directoryWithPlugins());
    this.runtime = {
      settings: {
        binDirs: this.places.binDirs,
        timeoutMs: options.timeout ?? defaultTimeoutMs,
        interrupts,
        writeErr,
      },
      cache: new ResultCache(this.places.cacheDir),
      note: (text) => writeErr(`${styleFor(2).dim('note:')} ${text}\n`),
    };
  }

  /** What flags and environment say about the attachment; a netns that is left out is empty. */
  attachment(netns: string | undefined): AttachmentParameters {
    const { ifname, containerId, args, capabilityArgs: json, port, bandwidth, mac, ip } = this.#options;
    const path = netns === undefined ? '' : netnsPath(netns);
    return {
      containerId: containerId ?? containerIdOf(path),
      netns: path,
      ifname: ifname ?? (process.env.CNI_IFNAME || 'eth0'),
      args: args ?? argsFrom(process.env) ?? [],
      capabilityArgs: capabilityArgs({
        json: json ?? capabilityJsonFrom(process.env),
        port,
        bandwidth,
        mac,
        ip,
      }),
    };
  }

  /**
   * As `attachment`, for CHECK and DEL: what is not said is as it was at ADD, as SPEC.md section 3 asks
   * of a runtime.
   */
  rememberedAttachment(network: string, netns: string | undefined): AttachmentParameters {
    const said = this.attachment(netns);
    const before = this.runtime.cache.read(network, said)?.attachment;
    if (before === undefined) return said;
    return {
      ...said,
      netns: netns === undefined ? before.netns : said.netns,
      args: said.args.length > 0 ? said.args : before.args,
      capabilityArgs:
        Object.keys(said.capabilityArgs).length > 0 ? said.capabilityArgs : before.capabilityArgs,
    };
  }

  /** The configuration that the attachment was added with; undefined when it is not in the cache. */
  rememberedNetwork(name: string, netns: string | undefined): Network | undefined {
    const config = this.runtime.cache.read(name, this.attachment(netns))?.config ?? '';
    return config === '' ? undefined : parseNetworkList(config, `the configuration cached for "${name}"`);
  }

  /** Throws CniError 6 when a file cannot be understood: its attachment might be taken for stale. */
  cachedAttachments(network: string): Attachment[] {
    const { entries, unknown } = this.runtime.cache.list(network);
    if (unknown.length > 0) {
      throw new CniError(ErrorCode.decodingFailure, `cannot tell whose cached result ${unknown[0]} is`, {
        details: `Nothing was freed. Remove the file from ${this.places.cacheDir}/results, or use --keep-attachment.`,
      });
    }
    return entries.map(({ attachment }) => ({
      containerID: attachment.containerId,
      ifname: attachment.ifname,
    }));
  }

  /** One line for people; programs that asked for JSON take the exit code as the answer. */
  say(word: string, text: string): void {
    if (this.#options.json !== true) writeOut(`${styleFor(1).green(word)} ${text}\n`);
  }
}

/** The directory of this executable, when plugins are beside it; /usr/sbin has a `bridge` of another kind. */
const directoryWithPlugins = (): string | undefined => {
  const directory = dirname(process.execPath);
  return existsSync(join(directory, 'host-local')) ? directory : undefined;
};
