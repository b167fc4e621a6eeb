import { IpBatch } from '../kernel/ip-batch.ts';
import type { LinkState } from '../kernel/link-message.ts';
import type { WantedVtep } from './plan.ts';
import type { PresentVtep } from './read.ts';

/** What is wrong with a VTEP, a phrase each; none when it is as it must be. */
export const vtepDifferences = (present: PresentVtep | undefined, wanted: WantedVtep): string[] => {
  if (present === undefined) return [`the device ${wanted.device} is missing`];
  const { link } = present;
  const found = [...lastingDifferences(link, wanted)];
  if (link.vxlan !== undefined && link.vxlan.local !== wanted.local)
    found.push(`it sends from ${link.vxlan.local ?? 'any address'} instead of ${wanted.local}`);
  if (link.mac !== wanted.mac) found.push(`its MAC is ${link.mac} instead of ${wanted.mac}`);
  if (link.mtu !== wanted.mtu) found.push(`its MTU is ${link.mtu} instead of ${wanted.mtu}`);
  if (link.master !== undefined) found.push('it is a port of another device');
  if (!link.up) found.push('it is down');
  const has = new Set(prefixesOf(present));
  for (const prefix of wanted.addresses) if (!has.has(prefix)) found.push(`it has no address ${prefix}`);
  for (const prefix of has)
    if (!wanted.addresses.includes(prefix)) found.push(`it has the address ${prefix}`);
  return found;
};

/** The lines that make the VTEP, or correct it; and whether what was on it is lost with the former one. */
export interface VtepLines {
  /** Before the settings (`sysctls.ts`), which need the device. */
  link: IpBatch;
  /** After them: when it goes up the kernel gives it addresses, and while IPv6 is off for it, it takes none. */
  up: IpBatch;
  remade: boolean;
}

export const vtepLines = (present: PresentVtep | undefined, wanted: WantedVtep): VtepLines => {
  const { device } = wanted;
  const link = new IpBatch();
  const set = (...words: (string | number)[]) => link.add('link', 'set', 'dev', device, ...words);
  const remade = present === undefined || mustBeRemade(present.link, wanted);
  if (remade) {
    if (present !== undefined) link.add('link', 'delete', 'dev', device);
    link.add(...creation(wanted));
  } else {
    if (present.link.vxlan?.local !== wanted.local) set('type', 'vxlan', 'local', wanted.local);
    if (present.link.mac !== wanted.mac) set('address', wanted.mac);
    if (present.link.mtu !== wanted.mtu) set('mtu', wanted.mtu);
    if (present.link.master !== undefined) set('nomaster');
  }
  return { link, up: upLines(remade ? undefined : present, wanted), remade };
};

/** Whether the kernel cannot change what is wrong. */
const mustBeRemade = (link: LinkState, wanted: WantedVtep): boolean =>
  lastingDifferences(link, wanted).length > 0 ||
  link.vxlan?.local === undefined ||
  link.vxlan.local.includes(':') !== wanted.local.includes(':');

const lastingDifferences = ({ vxlan }: LinkState, wanted: WantedVtep): string[] => {
  if (vxlan === undefined) return ['it is no VXLAN device'];
  return [
    ...(vxlan.vni === wanted.vni ? [] : [`its VNI is ${vxlan.vni} instead of ${wanted.vni}`]),
    ...(vxlan.port === wanted.port ? [] : [`its UDP port is ${vxlan.port} instead of ${wanted.port}`]),
    ...(vxlan.learning ? ['it learns addresses'] : []),
    ...(vxlan.external ? ['it is of the external kind'] : []),
    ...(vxlan.boundTo === undefined ? [] : ['it is bound to a device']),
  ];
};

// The MAC is given at creation, so that udev's MACAddressPolicy finds it set and lets it be.
const creation = ({ device, mac, mtu, vni, local, port }: WantedVtep): (string | number)[] => [
  ...['link', 'add', 'name', device, 'address', mac, 'mtu', mtu],
  ...['type', 'vxlan', 'id', vni, 'local', local, 'dstport', port, 'nolearning'],
];

const upLines = (present: PresentVtep | undefined, { device, addresses }: WantedVtep): IpBatch => {
  const batch = new IpBatch();
  if (!present?.link.up) batch.add('link', 'set', 'dev', device, 'up');
  const has = new Set(present?.link.up ? prefixesOf(present) : []);
  for (const prefix of addresses) {
    if (has.has(prefix)) continue;
    // An IPv6 address may be gone or not, when the device was down: "replace" does in both cases.
    batch.add('address', 'replace', prefix, 'dev', device, prefix.includes(':') && 'nodad');
  }
  for (const prefix of present === undefined ? [] : prefixesOf(present)) {
    if (!addresses.includes(prefix)) batch.add('address', 'del', prefix, 'dev', device);
  }
  return batch;
};

const prefixesOf = ({ addresses }: PresentVtep): string[] =>
  addresses.map(({ address, prefixLength }) => `${address}/${prefixLength}`);
