import { isObject } from '../../shared/cni/fields.ts';
import type { Attachment } from '../../shared/cni/plugin.ts';
import type { Owner } from '../../shared/filter/owner.ts';
import { readdirSync, readFileSync, unlinkSync } from '../../shared/kernel/files.ts';
import type { LinkState } from '../../shared/kernel/link.ts';
import { failedWith, ioFailure } from '../../shared/store/io-failure.ts';
import { unfinished, writeWhole } from '../../shared/store/whole-file.ts';
import type { Attributes } from './config.ts';

/**
 * What an interface had before it was tuned: the reference's file (plugins `meta/tuning/tuning.go`,
 * configToRestore), which either restores for the other, and two keys more, which the reference overlooks.
 */
export interface Originals extends Attributes {
  /** By the name below /proc/sys. */
  sysctl?: Record<string, string>;
  /** Whose it is: the file's name says neither the network nor where the name's parts end. */
  podwire?: Owner & Place;
}

/** Which interface it is: numbers of network namespaces come again, those of the host's interfaces do not. */
export interface Place {
  /** Inode of its netns. */
  netns: number;
  /** Its index, and of a veth that of its host end; 0 when it has none. */
  link: number;
  peer: number;
}

/** The present values of the attributes that are to be changed, in the reference's order. */
export const originalsOf = (link: LinkState, wanted: Attributes): Attributes => ({
  ...(wanted.mac === undefined ? {} : { mac: link.mac }),
  ...(wanted.promisc === undefined ? {} : { promisc: link.promiscuous }),
  ...(wanted.mtu === undefined ? {} : { mtu: link.mtu }),
  ...(wanted.allmulti === undefined ? {} : { allmulti: link.allMulticast }),
  ...(wanted.txQLen === undefined ? {} : { txQLen: link.txQueueLength }),
});

/**
 * What to keep when there is a file already, of an ADD that was killed or of another `tuning` in the chain:
 * its values are older. One of another interface, which is gone, counts for nothing.
 */
export const mergeOriginals = (before: Originals | undefined, now: Originals): Originals => {
  if (before === undefined) return now;
  const [then, here] = [before.podwire, now.podwire];
  const isSame = (['netns', 'link', 'peer'] as const).every((key) => then?.[key] === here?.[key]);
  if (then !== undefined && !isSame) return now;
  return { ...now, ...before, sysctl: { ...now.sysctl, ...before.sysctl }, ...podwireOf(now) };
};

/** The originals of an attachment; undefined when there are none, or they cannot be understood. */
export const readOriginals = (dataDir: string, owner: Owner): Originals | undefined => {
  const originals = readFile(fileOf(dataDir, owner));
  const whose = originals?.podwire;
  const isOther =
    whose !== undefined && (whose.containerId !== owner.containerId || whose.ifname !== owner.ifname);
  return isOther ? undefined : originals;
};

/** Writes them, whole or not at all. Throws CniError 5. */
export const saveOriginals = (dataDir: string, owner: Owner, originals: Originals): void => {
  const file = fileOf(dataDir, owner);
  try {
    // Indented as the reference's.
    writeWhole(file, JSON.stringify(originals, null, 1));
  } catch (error) {
    throw ioFailure(`keep the interface's original settings in ${file}`, error);
  }
};

/** Forgets them; fine when there are none, or the file is another attachment's. Throws CniError 5. */
export const removeOriginals = (dataDir: string, owner: Owner): void => {
  const file = fileOf(dataDir, owner);
  removeFile(unfinished(file));
  if (readFile(file) === undefined || readOriginals(dataDir, owner) !== undefined) removeFile(file);
};

/**
 * The original sysctls that are kept for other interfaces of the container: those that are not an interface's
 * own are all the container's. The first attachment has seen the true original, and the last puts it back.
 */
export const originalsOfOthers = (dataDir: string, owner: Owner, netns: number): Record<string, string> => {
  const own = fileOf(dataDir, owner);
  const others = namesIn(dataDir)
    .filter((name) => name.startsWith(`${owner.containerId}_`) && `${dataDir}/${name}` !== own)
    .flatMap((name) => readFile(`${dataDir}/${name}`) ?? []);
  return Object.assign({}, ...others.map(({ podwire, sysctl }) => (podwire?.netns === netns ? sysctl : {})));
};

/** For GC: forgets those of the network's attachments that are not in `keep`; only ours name a network. */
export const removeOtherOriginals = (dataDir: string, network: string, keep: readonly Attachment[]): void => {
  const kept = new Set(keep.map(({ containerID, ifname }) => `${containerID}/${ifname}`));
  for (const name of namesIn(dataDir)) {
    const whose = readFile(`${dataDir}/${name}`)?.podwire;
    if (whose?.network !== network || kept.has(`${whose.containerId}/${whose.ifname}`)) continue;
    removeFile(`${dataDir}/${name}`);
  }
};

/** The kernel's NAME_MAX, less the dot of an unfinished file. */
const LONGEST_NAME = 254;

/** The reference's name for it; one that no directory takes, with which the reference fails, is hashed. */
const fileOf = (dataDir: string, { containerId, ifname }: Owner): string => {
  const name = `${containerId}_${ifname}.json`;
  if (new TextEncoder().encode(name).length <= LONGEST_NAME) return `${dataDir}/${name}`;
  const hash = new Bun.CryptoHasher('sha256').update(`${containerId}\0${ifname}`).digest('hex');
  return `${dataDir}/sha256-${hash}.json`;
};

const podwireOf = ({ podwire }: Originals): Pick<Originals, 'podwire'> =>
  podwire === undefined ? {} : { podwire };

const readFile = (file: string): Originals | undefined => {
  try {
    const json: unknown = JSON.parse(readFileSync(file));
    return isObject(json) && isOriginals(json) ? json : undefined;
  } catch {
    return undefined;
  }
};

const isOriginals = (json: { [key: string]: unknown }): boolean =>
  Object.entries(TYPES).every(([key, type]) => json[key] === undefined || typeof json[key] === type) &&
  (json.sysctl === undefined ||
    Object.values(json.sysctl as object).every((value) => typeof value === 'string'));

const TYPES = {
  mac: 'string',
  mtu: 'number',
  promisc: 'boolean',
  allmulti: 'boolean',
  txQLen: 'number',
  sysctl: 'object',
  podwire: 'object',
};

const namesIn = (directory: string): string[] => {
  try {
    return readdirSync(directory).filter((name) => name.endsWith('.json'));
  } catch {
    return [];
  }
};

const removeFile = (file: string): void => {
  try {
    unlinkSync(file);
  } catch (error) {
    if (!failedWith(error, 'ENOENT', 'ENOTDIR', 'ENAMETOOLONG'))
      throw ioFailure(`remove the original settings ${file}`, error);
  }
};
