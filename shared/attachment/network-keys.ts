import { CniError, ErrorCode } from '../cni/errors.ts';
import { type Fields, show } from '../cni/fields.ts';
import { parseDns } from '../cni/result-versions.ts';
import type { Dns, Result } from '../cni/types.ts';
import type { FilterBackend } from '../filter/backend.ts';

/** The keys that the plugins which attach a pod by a veth have in common. */
export interface NetworkKeys {
  ipMasq: boolean;
  /** Undefined: nftables where it works, else iptables. */
  ipMasqBackend: FilterBackend | undefined;
  /** Bytes; undefined leaves it to the kernel. */
  mtu: number | undefined;
  dns: Dns;
  /** `ipam.type`; empty without one. */
  ipamType: string;
}

/** Throws CniError 7, or 2 for a backend we don't know. */
export const parseNetworkKeys = (fields: Fields): NetworkKeys => ({
  ipMasq: fields.boolean('ipMasq') ?? false,
  ipMasqBackend: parseBackend(fields),
  // 0 means "not given" to the reference; 68 is the least that IPv4 works with (RFC 791).
  mtu: fields.integer('mtu', 0, 65_535) || undefined,
  dns: parseDns(fields.fields('dns')),
  ipamType: fields.fields('ipam').string('type') ?? '',
});

/** The result's dns: the configuration's where it says anything, else the IPAM plugin's. */
export const chooseDns = (configured: Dns, ipam: Result): Dns =>
  Object.keys(configured).length > 0 ? configured : ipam.dns;

const parseBackend = (fields: Fields): FilterBackend | undefined => {
  const backend = fields.string('ipMasqBackend') ?? '';
  if (backend === '') return undefined;
  if (backend === 'nftables' || backend === 'iptables') return backend;
  throw new CniError(ErrorCode.unsupportedField, `unsupported value: "ipMasqBackend" is ${show(backend)}`, {
    details: 'Use "nftables" or "iptables", or leave it out.',
  });
};
