import { CniError, ErrorCode, toCniError } from '../cni/errors.ts';
import { BUS, DbusError, SystemBus } from '../kernel/dbus.ts';

/**
 * Whether firewalld has its name on the system bus, as the reference asks. No child is started; where there
 * is no system bus this costs one failed system call.
 */
export const firewalldIsRunning = (): boolean => {
  try {
    return withBus((bus) => {
      bus.call({ ...BUS, member: 'GetNameOwner', arguments: [FIREWALLD.destination] });
      return true;
    });
  } catch {
    return false;
  }
};

/**
 * Puts the addresses into a zone, as sources. One that the zone has is fine. Throws CniError 103 when
 * another zone has it, 7 when there is no such zone, else 100.
 */
export const addToZone = (zone: string, addresses: readonly string[]): void =>
  withFirewalld((bus) => {
    for (const source of addresses.map(sourceOf)) {
      const refusal = callZone(bus, 'addSource', zone, source);
      if (refusal !== undefined && refusal.code !== 'ZONE_ALREADY_SET') throw explain(refusal, zone, source);
    }
  });

/** Takes them out of it again; those that it does not have, or a firewalld that is gone, are fine. */
export const removeFromZone = (zone: string, addresses: readonly string[]): void => {
  if (addresses.length === 0 || !firewalldIsRunning()) return;
  withFirewalld((bus) => {
    for (const source of addresses.map(sourceOf)) {
      const refusal = callZone(bus, 'removeSource', zone, source);
      if (refusal !== undefined && !ABSENT.has(refusal.code)) throw explain(refusal, zone, source);
    }
  });
};

/** What the zone lacks of them, each for a reader. */
export const findZoneLacks = (zone: string, addresses: readonly string[]): string[] => {
  if (!firewalldIsRunning()) return ['firewalld is not running'];
  return withFirewalld((bus) =>
    addresses.map(sourceOf).flatMap((source) => {
      const answer = bus.call({ ...FIREWALLD, member: 'querySource', arguments: [zone, source] });
      return answer === true ? [] : [`the firewalld zone "${zone}" lacks the source ${source}`];
    }),
  );
};

const FIREWALLD = {
  destination: 'org.fedoraproject.FirewallD1',
  path: '/org/fedoraproject/FirewallD1',
  interface: 'org.fedoraproject.FirewallD1.zone',
} as const;

/** Not in this zone (any more), or no zone of that name. */
const ABSENT = new Set(['UNKNOWN_SOURCE', 'ZONE_CONFLICT', 'INVALID_ZONE']);

interface Refusal {
  /** Of firewalld's own, such as `ZONE_CONFLICT`. */
  code: string;
  message: string;
}

/** Calls firewalld; what it refuses is returned, other failures are thrown. */
const callZone = (bus: SystemBus, member: string, zone: string, source: string): Refusal | undefined => {
  try {
    bus.call({ ...FIREWALLD, member, arguments: [zone, source] });
    return undefined;
  } catch (error) {
    const code = error instanceof DbusError ? /^[A-Z_]+(?=:)/.exec(error.message)?.[0] : undefined;
    if (code === undefined) throw error;
    return { code, message: (error as DbusError).message };
  }
};

const explain = ({ code, message }: Refusal, zone: string, source: string): CniError => {
  if (code === 'INVALID_ZONE') {
    return new CniError(
      ErrorCode.invalidNetworkConfig,
      `invalid configuration: "firewalldZone" is "${zone}", which firewalld does not have`,
      { details: '`firewall-cmd --get-zones` lists the zones there are.' },
    );
  }
  if (code === 'ZONE_CONFLICT') {
    return new CniError(
      ErrorCode.conflict,
      `another firewalld zone than "${zone}" has the source ${source}`,
      {
        details: `\`firewall-cmd --get-zone-of-source=${source}\` names it. Remove the source there.`,
      },
    );
  }
  return new CniError(ErrorCode.commandFailed, `firewalld refused the source ${source}: ${message}`);
};

const sourceOf = (address: string): string => `${address}/${address.includes(':') ? 128 : 32}`;

const withFirewalld = <T>(body: (bus: SystemBus) => T): T => {
  try {
    return withBus(body);
  } catch (error) {
    if (error instanceof CniError) throw error;
    throw new CniError(ErrorCode.commandFailed, `firewalld cannot be asked: ${toCniError(error).message}`, {
      details: 'Is firewalld running? Else choose another "backend".',
      cause: error,
    });
  }
};

const withBus = <T>(body: (bus: SystemBus) => T): T => {
  const bus = new SystemBus();
  try {
    return body(bus);
  } finally {
    bus.close();
  }
};
