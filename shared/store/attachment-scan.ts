import { readdirSync } from '../kernel/files.ts';
import { type AttachmentRecord, readRecord } from './attachments.ts';
import { failedWith, ioFailure } from './io-failure.ts';

export interface AttachmentScan {
  records: AttachmentRecord[];
  /** Files that are no records, or those of a podwire to come. */
  unreadable: string[];
}

/**
 * All records below `root` (`/run/podwire/attachments`), or those of some networks, by network and name.
 * Empty when there is no such directory. Throws CniError 5 when it can't be read.
 */
export const scanAttachments = (root: string, networks?: readonly string[]): AttachmentScan => {
  const scan: AttachmentScan = { records: [], unreadable: [] };
  for (const network of networks ?? visibleNames(root)) {
    const directory = `${root}/${network}`;
    const others: string[] = [];
    for (const name of visibleNames(directory)) {
      const record = readRecord(`${directory}/${name}`);
      if (record?.network === network) scan.records.push(record);
      else others.push(name);
    }
    // One that a DEL has just removed is none of them.
    const present = others.length === 0 ? [] : visibleNames(directory);
    for (const name of others) if (present.includes(name)) scan.unreadable.push(`${directory}/${name}`);
  }
  return scan;
};

/** What begins with a dot is still being written. */
const visibleNames = (directory: string): string[] => {
  try {
    return readdirSync(directory)
      .filter((name) => !name.startsWith('.'))
      .sort();
  } catch (error) {
    if (failedWith(error, 'ENOENT', 'ENOTDIR')) return [];
    throw ioFailure(`read the records in ${directory}`, error);
  }
};
