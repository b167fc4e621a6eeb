/** Keys and values are bytes to etcd, and base64 in its JSON; ours are text. */
export const encodeText = (text: string): string => Buffer.from(text).toString('base64');

export const decodeText = (base64: string | undefined): string =>
  base64 === undefined ? '' : Buffer.from(base64, 'base64').toString();

/** The end of the range of all keys that begin with `prefix`: the prefix with its last byte one higher. */
export const encodePrefixEnd = (prefix: string): string => {
  const bytes = Buffer.from(prefix);
  const last = bytes.findLastIndex((byte) => byte < 0xff);
  // The range from a key to "\0" is etcd's way to say: to the end.
  if (last < 0) return Buffer.of(0).toString('base64');
  const end = Buffer.from(bytes.subarray(0, last + 1));
  end[last] = (end[last] ?? 0) + 1;
  return end.toString('base64');
};

/** The key after `key`: where the next page begins. */
export const encodeKeyAfter = (key: string): string =>
  Buffer.concat([Buffer.from(key), Buffer.of(0)]).toString('base64');

/** int64 is a string in etcd's JSON, and 0 is left out. */
export const decodeInt64 = (text: string | undefined): bigint => BigInt(text ?? 0);

/** A key with its value, and the revisions of the store at which it was made and last changed. */
export interface EtcdEntry {
  key: string;
  value: string;
  createRevision: bigint;
  modRevision: bigint;
  /** The lease that it goes with, or "0". */
  lease: string;
}

/** `mvccpb.KeyValue` in JSON. */
export interface EncodedEntry {
  key: string;
  value?: string;
  create_revision?: string;
  mod_revision?: string;
  lease?: string;
}

export const decodeEntry = (entry: EncodedEntry): EtcdEntry => ({
  key: decodeText(entry.key),
  value: decodeText(entry.value),
  createRevision: decodeInt64(entry.create_revision),
  modRevision: decodeInt64(entry.mod_revision),
  lease: entry.lease ?? '0',
});

/** What every answer begins with. */
export interface EncodedHeader {
  cluster_id?: string;
  revision?: string;
}
