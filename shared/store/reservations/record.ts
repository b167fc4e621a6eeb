import { isObject } from '../../cni/fields.ts';

/** Who holds an address. `ifname` is empty for files of reference versions before 0.8, which had none. */
export interface Owner {
  containerId: string;
  ifname: string;
}

/** What is known of one reserved address. */
export interface Reservation extends Owner {
  /** In canonical text, which is also the name of its file. */
  address: string;
  /** Inode and modification time (ns) of its file: two files of one name differ in this. */
  identity: string;
  /** The boot in which it was made, or first seen when another program made it. */
  bootId: string;
  /** CNI_NETNS of the ADD; undefined when another program made it. */
  netns?: string;
}

/** A reservation file's content, as the reference's `disk.Store.Reserve` writes it. */
export const ownerText = ({ containerId, ifname }: Owner): string => `${containerId}\r\n${ifname}`;

/** The owner in a reservation file; undefined when it is empty or holds something else. */
export const parseOwner = (text: string): Owner | undefined => {
  const match = /^([a-zA-Z0-9][a-zA-Z0-9_.-]*)(?:\r\n([^\r\n]+))?$/.exec(text.trim());
  return match === null ? undefined : { containerId: match[1] as string, ifname: match[2] ?? '' };
};

export const isSameOwner = (a: Owner, b: Owner): boolean =>
  a.containerId === b.containerId && a.ifname === b.ifname;

/** A record as one line of text, the containerID first: `recordsOf` looks for it there. */
export const formatRecord = ({
  containerId,
  ifname,
  address,
  identity,
  bootId,
  netns,
}: Reservation): string => `${JSON.stringify({ containerId, ifname, address, identity, bootId, netns })}\n`;

/** The records in a text of such lines; lines that are damaged are left out. */
export const parseRecords = (text: string): Reservation[] => {
  const records: Reservation[] = [];
  for (const line of text.split('\n')) {
    const record = parseRecord(line);
    if (record !== undefined) records.push(record);
  }
  return records;
};

/** An owner's records in such a text, without parsing those of others. */
export const recordsOf = (text: string, owner: Owner): Reservation[] => {
  const records: Reservation[] = [];
  const start = `{"containerId":${JSON.stringify(owner.containerId)},`;
  for (let from = text.indexOf(start); from >= 0; from = text.indexOf(start, from + 1)) {
    const end = text.indexOf('\n', from);
    const record = parseRecord(text.slice(from, end < 0 ? text.length : end));
    if (record !== undefined && isSameOwner(record, owner)) records.push(record);
  }
  return records;
};

const parseRecord = (line: string): Reservation | undefined => {
  if (line === '') return undefined;
  try {
    const value: unknown = JSON.parse(line);
    return isReservation(value) ? value : undefined;
  } catch {
    return undefined;
  }
};

const isReservation = (value: unknown): value is Reservation =>
  isObject(value) &&
  typeof value.containerId === 'string' &&
  typeof value.ifname === 'string' &&
  typeof value.address === 'string' &&
  typeof value.identity === 'string' &&
  typeof value.bootId === 'string' &&
  (value.netns === undefined || typeof value.netns === 'string');
