import { isObject } from '../../shared/cni/fields.ts';
import type { JsonObject } from '../../shared/cni/types.ts';
import { parseAddress, parseCidr } from '../../shared/kernel/address-math.ts';
import { parseMac as normalizedMac } from '../../shared/kernel/mac.ts';

/** The flags that stand for a capability; those given only. */
export interface CapabilityFlags {
  /** --capability-args or CAP_ARGS. */
  json?: JsonObject | undefined;
  port?: JsonObject[] | undefined;
  bandwidth?: JsonObject | undefined;
  mac?: string | undefined;
  ip?: string[] | undefined;
}

/** All flags as the conventions' capability arguments; a flag of its own wins over the same key of the JSON. */
export const capabilityArgs = ({ json, port, bandwidth, mac, ip }: CapabilityFlags): JsonObject => ({
  ...json,
  ...(port === undefined ? {} : { portMappings: port }),
  ...(bandwidth === undefined ? {} : { bandwidth }),
  ...(mac === undefined ? {} : { mac }),
  ...(ip === undefined ? {} : { ips: ip }),
});

/** `{"mac": …}`: any JSON object. These parsers throw an Error whose message says what is expected. */
export const parseCapabilityJson = (text: string): JsonObject => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`It is not valid JSON: ${(error as Error).message}`);
  }
  if (!isObject(value)) throw new Error('It must be a JSON object, such as {"mac":"02:00:00:00:00:01"}.');
  return value;
};

/** `[HOSTIP:]HOST:CONTAINER[/PROTO]`: an element of `portMappings`. */
export const parsePort = (text: string): JsonObject => {
  const match = /^(?:(\[[^\]]+\]|[^:]+):)?(\d+):(\d+)(?:\/(tcp|udp|sctp))?$/i.exec(text);
  const hostIP = match?.[1]?.replace(/^\[(.*)\]$/, '$1');
  const [hostPort, containerPort] = [Number(match?.[2]), Number(match?.[3])];
  if (
    !isPort(hostPort) ||
    !isPort(containerPort) ||
    (hostIP !== undefined && parseAddress(hostIP) === undefined)
  ) {
    throw new Error('It must be [HOSTIP:]HOSTPORT:CONTAINERPORT[/tcp|udp|sctp], such as 8080:80/tcp.');
  }
  const protocol = match?.[4]?.toLowerCase() ?? 'tcp';
  return { hostPort, containerPort, protocol, ...(hostIP === undefined ? {} : { hostIP }) };
};

/** `ingress=RATE[/BURST],egress=RATE[/BURST]`, in bits per second and bits: `bandwidth`. */
export const parseBandwidth = (text: string): JsonObject => {
  const limits: JsonObject = {};
  for (const part of text.split(',')) {
    const match = /^(ingress|egress)=([^/]+)(?:\/(.+))?$/.exec(part);
    const direction = match?.[1];
    const rate = parseBits(match?.[2]);
    const burst = match?.[3] === undefined ? defaultBurst(rate ?? 0) : parseBits(match[3]);
    if (direction === undefined || !rate || !burst || `${direction}Rate` in limits) {
      throw new Error(
        'It must be ingress=RATE[/BURST],egress=RATE[/BURST], such as ingress=10M,egress=1M/800k.',
      );
    }
    limits[`${direction}Rate`] = rate;
    limits[`${direction}Burst`] = burst;
  }
  return limits;
};

/** Six bytes in hexadecimal: `mac`. */
export const parseMac = (text: string): string => {
  const mac = normalizedMac(text);
  if (mac === undefined) throw new Error('It must be a MAC address such as 02:00:00:00:00:01.');
  return mac;
};

/** An address, with or without prefix length: an element of `ips`. */
export const parseIp = (text: string): string => {
  if (parseAddress(text) === undefined && parseCidr(text) === undefined) {
    throw new Error('It must be an IP address such as 10.1.0.5, 10.1.0.5/24 or fd00::5.');
  }
  return text;
};

/**
 * The bandwidth plugin insists on a burst with every rate. What passes in 100 ms, but at least 64 KiB:
 * a bucket smaller than a packet that the kernel has not segmented yet drops it.
 */
const defaultBurst = (rate: number): number => Math.max(Math.ceil(rate / 10), 64 * 1024 * 8);

const parseBits = (text: string | undefined): number | undefined => {
  const match = /^(\d+(?:\.\d+)?)([kMG]?)$/.exec(text ?? '');
  const factor = { '': 1, k: 1e3, M: 1e6, G: 1e9 }[match?.[2] ?? ''];
  return match === null || factor === undefined ? undefined : Math.round(Number(match[1]) * factor);
};

const isPort = (value: number): boolean => Number.isInteger(value) && value >= 1 && value <= 65535;
