import type { Fields } from '../cni/fields.ts';
import { show } from '../cni/fields.ts';
import { formatAddress, parseAddress } from '../kernel/address-math.ts';

export type PortProtocol = 'tcp' | 'udp' | 'sctp';

/** One entry of `portMappings`, normalised. */
export interface PortMapping {
  protocol: PortProtocol;
  hostPort: number;
  containerPort: number;
  /** Canonical; `0.0.0.0` and `::` stand for any address of their family, `''` for any of both. */
  hostIP: string;
}

/** Where a mapping listens, of one family, and the pod's port behind it. */
export interface PortBinding {
  family: 4 | 6;
  protocol: PortProtocol;
  hostPort: number;
  containerPort: number;
  /** Undefined: any address of the host. */
  hostAddress: string | undefined;
}

/**
 * Reads `portMappings` out of `runtimeConfig`. A hostPort of 0 asks for none, as in Kubernetes. Throws
 * CniError 7 on what is no mapping, and on two that want one port of one address.
 */
export const parsePortMappings = (runtimeConfig: Fields): PortMapping[] => {
  const mappings = runtimeConfig
    .fieldsList('portMappings')
    .map(parseMapping)
    .filter(({ hostPort }) => hostPort !== 0);
  const seen = new Set<string>();
  for (const mapping of mappings) {
    for (const binding of bindingsOf([mapping], [4, 6])) {
      const text = describeBinding(binding);
      if (seen.has(text)) throw runtimeConfig.invalid('portMappings', `asks for ${text} twice`);
      seen.add(text);
    }
  }
  return mappings;
};

/** The same as far as it can be understood, for a DEL: what is misspelt, no ADD can have acted on. */
export const salvagePortMappings = (runtimeConfig: Fields): PortMapping[] => {
  try {
    return parsePortMappings(runtimeConfig);
  } catch {
    return [];
  }
};

/** What mappings come to for a pod with addresses of these families, in their order. */
export const bindingsOf = (mappings: readonly PortMapping[], families: readonly (4 | 6)[]): PortBinding[] =>
  mappings.flatMap(({ hostIP, ...ports }) => {
    const hostFamily = hostIP === '' ? undefined : familyOf(hostIP);
    const hostAddress = hostIP === '' || isUnspecified(hostIP) ? undefined : hostIP;
    return families
      .filter((family) => hostFamily === undefined || hostFamily === family)
      .map((family) => ({ family, hostAddress, ...ports }));
  });

/** For error messages: `tcp port 8080 of any IPv4 address`. */
export const describeBinding = ({
  family,
  protocol,
  hostPort,
  hostAddress,
}: Omit<PortBinding, 'containerPort'>): string =>
  `${protocol} port ${hostPort} of ${hostAddress ?? `any IPv${family} address`}`;

const familyOf = (address: string): 4 | 6 => (address.includes(':') ? 6 : 4);

const isUnspecified = (address: string): boolean => address === '0.0.0.0' || address === '::';

const parseMapping = (fields: Fields): PortMapping => {
  const containerPort = fields.integer('containerPort', 1, 65_535);
  if (containerPort === undefined) throw fields.invalid('containerPort', 'must be a port');
  return {
    protocol: parseProtocol(fields),
    hostPort: fields.integer('hostPort', 0, 65_535) ?? 0,
    containerPort,
    hostIP: parseHostIp(fields),
  };
};

/** In any case, as the runtimes differ; a runtime that says nothing means tcp (CONVENTIONS.md). */
const parseProtocol = (fields: Fields): PortProtocol => {
  const protocol = (fields.string('protocol') || 'tcp').toLowerCase();
  if (protocol === 'tcp' || protocol === 'udp' || protocol === 'sctp') return protocol;
  throw fields.invalid('protocol', 'must be "tcp", "udp" or "sctp"');
};

const parseHostIp = (fields: Fields): string => {
  const text = fields.string('hostIP') ?? '';
  if (text === '') return '';
  const address = parseAddress(text);
  if (address === undefined) throw fields.invalid('hostIP', `must be an IP address, not ${show(text)}`);
  return formatAddress(address);
};
