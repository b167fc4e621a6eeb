import {
  closeSync,
  constants,
  existsSync,
  type FileStatus,
  fstatSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  readOpenFile,
  unlinkSync,
  writeSync,
} from '../../kernel/files.ts';
import { failedWith, ioFailure } from '../io-failure.ts';
import { type Owner, ownerText, parseOwner } from './record.ts';

/** Where a network's reservations are: the reference's directory, and our index beside it. */
export interface Place {
  /** `<dataDir>/<network>`: one file per address, `last_reserved_ip.<n>`, `lock`. */
  directory: string;
  /** `<dataDir>/.podwire/<network>`: outside of what the reference walks; no network's name has a dot first. */
  indexDirectory: string;
}

export const placeOf = (dataDir: string, network: string): Place => ({
  directory: `${dataDir}/${network}`,
  indexDirectory: `${dataDir}/.podwire/${network}`,
});

/** A reservation file as it is; `owner` is undefined when it is empty or not understood. */
export interface ReservationFile {
  owner: Owner | undefined;
  identity: string;
}

/** Reads the file of an address; undefined when there is none. Throws the system's error. */
export const readReservationFile = (place: Place, address: string): ReservationFile | undefined => {
  let fd: number;
  try {
    fd = openSync(`${place.directory}/${address}`, constants.O_RDONLY);
  } catch (error) {
    if (failedWith(error, 'ENOENT')) return undefined;
    throw error;
  }
  try {
    const identity = identityOf(fstatSync(fd));
    return { owner: parseOwner(readOpenFile(fd)), identity };
  } catch (error) {
    if (failedWith(error, 'EISDIR')) return { owner: undefined, identity: '' };
    throw error;
  } finally {
    closeSync(fd);
  }
};

/** Removes the file of an address; fine when it is gone. Throws CniError 5. */
export const removeReservationFile = (place: Place, address: string): void => {
  const file = `${place.directory}/${address}`;
  try {
    unlinkSync(file);
  } catch (error) {
    if (!failedWith(error, 'ENOENT')) throw ioFailure(`remove the reservation ${file}`, error);
  }
};

/** The address last given out for a range set; undefined when there is none. */
export const readPointer = (place: Place, set: number): string | undefined => {
  try {
    return readFileSync(pointerFile(place, set));
  } catch {
    return undefined;
  }
};

/** Notes the address last given out for a range set. Throws CniError 5. */
export const writePointer = (place: Place, set: number, address: string): void => {
  const file = pointerFile(place, set);
  try {
    overwrite(file, address, 0o600);
  } catch (error) {
    throw ioFailure(`write ${file}`, error);
  }
};

/**
 * Makes the file of an address and returns its identity; undefined when the address has one. The
 * content is written into a temporary file of the index directory, which then becomes the reservation
 * by link(2): it is there whole or not at all, whenever the process dies, and never replaces another.
 * Where that doesn't work, the file is made in place. Throws CniError 5.
 */
export const makeReservationFile = (place: Place, owner: Owner, address: string): string | undefined => {
  const file = `${place.directory}/${address}`;
  const text = ownerText(owner);
  try {
    return makeByLink(place, file, text);
  } catch (error) {
    if (failedWith(error, 'ENOSPC', 'EDQUOT', 'EFBIG'))
      throw ioFailure(`write the reservation ${file}`, error);
  }
  try {
    return fillOrRemove(openSync(file, NEW_FILE, 0o600), file, text);
  } catch (error) {
    if (failedWith(error, 'EEXIST')) return undefined;
    throw ioFailure(`write the reservation ${file}`, error);
  }
};

/** Removes the temporary file of `makeReservationFile` that a process left which was killed in it; under the lock. */
export const removeTemplate = (place: Place): void => {
  const template = templateFile(place);
  if (existsSync(template)) removeQuietly(template);
};

/**
 * Replaces a file's content without emptying it first: ext4 flushes a file to disk that was truncated
 * to nothing and closed, which costs far more than the write. Throws the system's error.
 */
export const overwrite = (file: string, text: string, mode: number): void => {
  const fd = openSync(file, constants.O_WRONLY | constants.O_CREAT, mode);
  try {
    const written = writeWhole(fd, text);
    if (fstatSync(fd).size > written) ftruncateSync(fd, written);
  } finally {
    closeSync(fd);
  }
};

/** Writes all of a text in one go and returns its length in bytes. Throws the system's error. */
export const writeWhole = (fd: number, text: string): number => {
  const bytes = new TextEncoder().encode(text);
  const written = writeSync(fd, bytes);
  if (written === bytes.length) return written;
  throw Object.assign(new Error('ENOSPC: only a part could be written'), { code: 'ENOSPC' });
};

/** Inode and modification time of a file; an address's new file never has those of an old one. */
export const identityOf = ({ ino, mtimeNs }: FileStatus): string => `${ino}:${mtimeNs}`;

const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;

const pointerFile = ({ directory }: Place, set: number): string => `${directory}/last_reserved_ip.${set}`;

const templateFile = ({ indexDirectory }: Place): string => `${indexDirectory}/new`;

const makeByLink = (place: Place, file: string, text: string): string | undefined => {
  const template = templateFile(place);
  const identity = fillOrRemove(openTemplate(place, template), template, text);
  try {
    linkSync(template, file);
    return identity;
  } catch (error) {
    if (failedWith(error, 'EEXIST')) return undefined;
    throw error;
  } finally {
    removeQuietly(template);
  }
};

const openTemplate = (place: Place, template: string): number => {
  try {
    return openSync(template, NEW_FILE, 0o600);
  } catch (error) {
    if (failedWith(error, 'ENOENT')) mkdirSync(place.indexDirectory, { recursive: true, mode: 0o700 });
    // Left by a process that was killed. It may be linked to a living reservation: never write into it.
    else if (failedWith(error, 'EEXIST')) unlinkSync(template);
    else throw error;
    return openSync(template, NEW_FILE, 0o600);
  }
};

const fillOrRemove = (fd: number, file: string, text: string): string => {
  try {
    writeWhole(fd, text);
    return identityOf(fstatSync(fd));
  } catch (error) {
    removeQuietly(file);
    throw error;
  } finally {
    closeSync(fd);
  }
};

const removeQuietly = (file: string): void => {
  try {
    unlinkSync(file);
  } catch {
    // The caller has a better error, or the next call removes it.
  }
};
