import type { Dns, Interface, IpConfig, Result, Route } from '../../shared/cni/types.ts';
import { renderSections } from '../table.ts';
import type { Style } from '../terminal.ts';
import type { AttachmentParameters } from './attachment.ts';

/** The result of an ADD for people: a headline and what the attachment consists of. */
export const renderResult = (
  network: string,
  attachment: AttachmentParameters,
  result: Result,
  style: Style,
): string => {
  const { ifname, netns, containerId } = attachment;
  const headline = `${style.green('added')} ${style.bold(ifname)} in ${netns} to ${style.bold(network)}\n`;
  const sections = [
    { label: 'container', rows: [[containerId]] },
    { label: 'interfaces', rows: result.interfaces.map(interfaceRow) },
    { label: 'addresses', rows: result.ips.map((ip) => addressRow(ip, result.interfaces)) },
    { label: 'routes', rows: result.routes.map(routeRow) },
    { label: 'dns', rows: dnsRows(result.dns) },
  ];
  return headline + renderSections(sections, style);
};

const interfaceRow = ({ name, mac, mtu, sandbox, socketPath, pciID }: Interface): string[] => [
  name,
  sandbox === undefined ? 'host' : 'container',
  mac ?? '',
  ...given('mtu', mtu),
  ...given('socket', socketPath),
  ...given('pci', pciID),
];

const addressRow = (ip: IpConfig, interfaces: Interface[]): string[] => {
  const name = ip.interface === undefined ? undefined : interfaces[ip.interface]?.name;
  return [ip.address, name === undefined ? '' : `on ${name}`, ...given('gateway', ip.gateway)];
};

const routeRow = ({ dst, gw, mtu, advmss, priority, table, scope }: Route): string[] => [
  dst,
  gw === undefined ? '' : `via ${gw}`,
  ...given('mtu', mtu),
  ...given('advmss', advmss),
  ...given('priority', priority),
  ...given('table', table),
  ...given('scope', scope),
];

const dnsRows = ({ nameservers, domain, search, options }: Dns): string[][] =>
  [
    given('nameservers', nameservers?.join(' ')),
    given('domain', domain),
    given('search', search?.join(' ')),
    given('options', options?.join(' ')),
  ].filter((row) => row.length > 0);

const given = (label: string, value: string | number | undefined): string[] =>
  value === undefined || value === '' ? [] : [`${label} ${value}`];
