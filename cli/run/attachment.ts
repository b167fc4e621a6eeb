import { resolve } from 'node:path';
import { CniError, ErrorCode } from '../../shared/cni/errors.ts';
import type { JsonObject } from '../../shared/cni/types.ts';

/** The parameters of one attachment (SPEC.md, "AttachmentParameters Parameters"). */
export interface AttachmentParameters {
  containerId: string;
  /** Path of the netns; empty when it is gone. */
  netns: string;
  ifname: string;
  /** CNI_ARGS, in order. */
  args: [string, string][];
  capabilityArgs: JsonObject;
}

/**
 * The path of a netns that was given as a path (it has a slash), as `pid:NNN`, or as a name under
 * /run/netns, where `ip netns add` makes them.
 */
export const netnsPath = (text: string): string => {
  const pid = /^pid:(\d+)$/.exec(text)?.[1];
  if (pid !== undefined) return `/proc/${pid}/ns/net`;
  return text.includes('/') ? resolve(text) : `/run/netns/${text}`;
};

/** The container id that cnitool derives from a netns path, so that each can undo what the other did. */
export const containerIdOf = (path: string): string =>
  `cnitool-${new Bun.CryptoHasher('sha512').update(path).digest('hex').slice(0, 20)}`;

/** Throws CniError 4 unless id and interface name are what plugins accept (as libcni, before any call). */
export const assertAttachment = ({ containerId, ifname }: AttachmentParameters): void => {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(containerId)) {
    throw new CniError(ErrorCode.invalidEnvironment, `invalid container id "${containerId}"`, {
      details: 'It must begin with a letter or digit and go on with these, "_", "." and "-".',
    });
  }
  const tooLong = new TextEncoder().encode(ifname).length > 15;
  if (tooLong || ifname === '.' || ifname === '..' || !/^[^/:\s]+$/.test(ifname)) {
    throw new CniError(ErrorCode.invalidEnvironment, `invalid interface name "${ifname}"`, {
      details: 'It must have 1 to 15 bytes, without "/", ":" and white space.',
    });
  }
};
