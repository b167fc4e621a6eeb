import { CniError, ErrorCode } from '../cni/errors.ts';
import { Fields, isObject, show } from '../cni/fields.ts';
import type { NetworkConfig } from '../cni/plugin.ts';
import { parseDns } from '../cni/result-versions.ts';
import type { Dns, JsonObject } from '../cni/types.ts';
import { type FeatureKeys, parseFeatureKeys } from '../features/feature-keys.ts';
import type { FilterBackend } from '../filter/backend.ts';

/** The keys that the plugins which attach a pod by a veth have in common. */
export interface NetworkKeys {
  ipMasq: boolean;
  /** Undefined: nftables where it works, else iptables. */
  ipMasqBackend: FilterBackend | undefined;
  /** Bytes; undefined leaves it to the kernel. */
  mtu: number | undefined;
  /** Undefined: what IPAM says. A key that is given but empty takes IPAM's settings away. */
  dns: Dns | undefined;
  /** `ipam.type`; empty without one. */
  ipamType: string;
  /** What this plugin does besides, in the stead of plugins chained after it. */
  features: FeatureKeys;
}

/** The part of the configuration that DEL and GC go by. */
export interface RemovalKeys {
  ipamType: string;
  masquerade: boolean;
  spoofCheck: boolean;
}

/** Reads them; `fields` are those of `config`. Throws CniError 7, or 2 for a backend we don't know. */
export const parseNetworkKeys = (fields: Fields, config: NetworkConfig): NetworkKeys => ({
  ipMasq: fields.boolean('ipMasq') ?? false,
  ipMasqBackend: parseBackend(fields),
  // 0 means "not given" to the reference; 68 is the least that IPv4 works with (RFC 791).
  mtu: fields.integer('mtu', 0, 65_535) || undefined,
  dns: parseOwnDns(fields.fields('dns')),
  ipamType: fields.fields('ipam').string('type') ?? '',
  features: parseFeatureKeys(config),
});

/**
 * As far as it can be understood: a configuration that ADD refused comes back for DEL, which has to
 * succeed, or the runtime would try for ever. What is misspelt here, no ADD can have acted on.
 */
export const parseRemovalKeys = (json: JsonObject): RemovalKeys => {
  const fields = new Fields(json);
  const ipam = fields.raw('ipam');
  const type = isObject(ipam) ? new Fields(ipam).raw('type') : undefined;
  return {
    ipamType: typeof type === 'string' ? type : '',
    masquerade: fields.raw('ipMasq') === true,
    spoofCheck: fields.raw('macspoofchk') === true,
  };
};

const parseOwnDns = (fields: Fields): Dns | undefined => {
  const given = ['nameservers', 'search', 'options'].some((key) => fields.has(key));
  return given || (fields.string('domain') ?? '') !== '' ? parseDns(fields) : undefined;
};

const parseBackend = (fields: Fields): FilterBackend | undefined => {
  const backend = fields.string('ipMasqBackend') ?? '';
  if (backend === '') return undefined;
  if (backend === 'nftables' || backend === 'iptables') return backend;
  throw new CniError(ErrorCode.unsupportedField, `unsupported value: "ipMasqBackend" is ${show(backend)}`, {
    details: 'Use "nftables" or "iptables", or leave it out.',
  });
};
