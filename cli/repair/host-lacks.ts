import { sameCidr } from '../../shared/attachment/address-compare.ts';
import { FORWARDING_SYSCTLS, familiesWithoutForwarding } from '../../shared/attachment/pod-sysctls.ts';
import { contains, parseCidr } from '../../shared/kernel/address-math.ts';
import type { LinkState } from '../../shared/kernel/link.ts';
import { writeSysctl } from '../../shared/kernel/sysctl.ts';
import type { AttachmentRecord, HostSideRecord } from '../../shared/store/attachments.ts';
import { bridgeLacks } from './bridge-lacks.ts';
import { ipLines, type Lack } from './lack.ts';
import type { Look } from './look.ts';

/**
 * What is missing of an attachment's links, host addresses, host routes and forwarding, in the order in
 * which it has to come back: the kernel takes routes, and IPv6 addresses, with a link that goes down.
 */
export const hostLacks = (record: AttachmentRecord, look: Look): Lack[] => {
  const port = look.link(record.hostInterface ?? '');
  if (port === undefined) return [];
  const lacks: Lack[] = [];
  if (!port.up) {
    lacks.push({
      what: `the host interface "${port.name}" is down`,
      mend: ipLines(`link set dev ${port.name} up`),
    });
  }
  const { host } = record;
  if (host === undefined) return lacks;
  if (host.bridge !== undefined) lacks.push(...bridgeLacks(host.bridge, port, look));
  return [
    ...lacks,
    ...gatewayLacks(host, port, look),
    ...routeLacks(host, port, look),
    ...forwardingLacks(host),
  ];
};

/** A device that the next lines make has no addresses yet. */
const gatewayLacks = (host: HostSideRecord, port: LinkState, look: Look): Lack[] => {
  const { gatewayDevice: name, gateways, bridge } = host;
  const device = look.link(name);
  const present = device === undefined ? [] : look.addresses(device);
  const shared = name !== port.name;
  if (device === undefined && gateways.length > 0 && name !== bridge?.name) {
    const advice = 'DEL and ADD a container of its network';
    return [{ what: `the gateway device "${name}" is missing`, shared, mend: { by: 'nobody', advice } }];
  }
  return gateways
    .filter((gateway) => !present.some((address) => sameCidr(address, gateway)))
    .map((gateway) => {
      const what = `"${name}" lacks the gateway address ${gateway}`;
      const other = shared ? present.find((address) => isInTheWay(address, gateway, gateways)) : undefined;
      if (other !== undefined) {
        return { what, shared, mend: { by: 'nobody', advice: `it has ${other}, which somebody else set` } };
      }
      const flags = gateway.includes(':') ? ' nodad' : shared ? ' broadcast +' : '';
      return { what, shared, mend: ipLines(`address replace ${gateway} dev ${name}${flags}`) };
    });
};

/** As for ADD: a device has one IPv4 address of others, or IPv6 ones whose subnets do not overlap. */
const isInTheWay = (address: string, gateway: string, own: readonly string[]): boolean => {
  const a = parseCidr(address);
  const b = parseCidr(gateway);
  if (a === undefined || b === undefined || a.family !== b.family) return false;
  if (own.some((other) => sameCidr(other, address))) return false;
  return a.family === 4 || (!/^fe[89ab]/i.test(address) && (contains(a, b) || contains(b, a)));
};

const routeLacks = ({ routes }: HostSideRecord, port: LinkState, look: Look): Lack[] =>
  routes
    .filter((route) => {
      const present = look.destinations(port, route.includes(':') ? 6 : 4);
      return !present.some((dst) => sameCidr(dst, route));
    })
    .map((route) => ({
      what: `the host has no route to ${route} by "${port.name}"`,
      mend: ipLines(`route replace ${route} dev ${port.name}`),
    }));

const forwardingLacks = ({ forwarding }: HostSideRecord): Lack[] =>
  familiesWithoutForwarding(forwarding).map((family) => ({
    what: `the host does not forward IPv${family} (${FORWARDING_SYSCTLS[family].replaceAll('/', '.')})`,
    shared: true,
    mend: {
      by: 'call',
      run: () => {
        writeSysctl(FORWARDING_SYSCTLS[family], '1');
      },
    },
  }));
