/** What the tools printed, in pieces: `links`, `routes`, `rules`, `qdiscs`, `nft` or an iptables variant. */
export type Look = { netns: string; part: string; text: string }[];

/** Turns it into comparable lines. */
export const snapshotItems = (look: Look): string[] =>
  look.flatMap(({ netns, part, text }) => {
    const lines = itemsOf(part, text);
    if (netns === '') return lines;
    return [
      ...(part === 'links' ? [`netns ${netns}`] : []),
      ...lines.map((line) => `netns ${netns}: ${line}`),
    ];
  });

interface Link {
  ifname: string;
  mtu: number;
  master?: string;
  flags: string[];
  ifalias?: string;
  linkinfo?: { info_kind?: string };
  addr_info?: { local?: string; prefixlen?: number; scope?: string; address?: string }[];
}

type Route = Record<string, unknown> & { dst?: string; dev?: string; type?: string };

type NftObject = Record<string, unknown>;

const itemsOf = (part: string, text: string): string[] => {
  if (part === 'links')
    return parseList<Link>(text).flatMap((link) => [linkItem(link), ...addressItems(link)]);
  if (part === 'routes') return parseList<Route>(text).filter(isLasting).map(routeItem);
  if (part === 'rules')
    return text
      .split('\n')
      .filter(Boolean)
      .map((rule) => `rule ${rule.replaceAll(/\s+/g, ' ')}`);
  // What has the handle 0: is the kernel's own.
  if (part === 'qdiscs')
    return text
      .split('\n')
      .filter((line) => line !== '' && !/^qdisc \S+ 0: /.test(line))
      .map((line) => line.replace(/ direct_packets_stat \d+/, ''));
  if (part === 'nft') return (JSON.parse(text) as { nftables: NftObject[] }).nftables.flatMap(nftItems);
  return tablesItems(part, text);
};

// `ip -j` prints nothing at all for an empty list, and {} for an entry that a filter took out.
const parseList = <T>(text: string): T[] =>
  text.trim() === ''
    ? []
    : (JSON.parse(text) as T[]).filter((entry) => Object.keys(entry as object).length > 0);

const linkItem = ({ ifname, mtu, master, flags, ifalias, linkinfo }: Link): string =>
  [
    `link ${ifname} ${linkinfo?.info_kind ?? 'device'} mtu ${mtu}`,
    flags.includes('UP') ? 'up' : 'down',
    flags.includes('PROMISC') ? 'promisc' : '',
    master === undefined ? '' : `master ${master}`,
    ifalias === undefined ? '' : `alias ${ifalias}`,
  ]
    .filter(Boolean)
    .join(' ');

// The kernel makes link-local addresses and routes by itself, some time after a link is up, and those of
// lo when it first comes up.
const addressItems = ({ ifname, addr_info: addresses = [] }: Link): string[] =>
  addresses
    .filter(({ local = '' }) => !local.startsWith('fe80:') && !(ifname === 'lo' && isLoopback(local)))
    .map(({ local, prefixlen, scope, address }) => {
      const peer = address === undefined ? '' : ` peer ${address}`;
      return `addr ${ifname} ${local}/${prefixlen} scope ${scope}${peer}`;
    });

const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1';

const isLasting = ({ dst = '', dev, type }: Route): boolean =>
  !dst.startsWith('fe80:') &&
  !(dev === 'lo' && isLoopback(dst)) &&
  !dst.startsWith('ff00::') &&
  type !== 'anycast';

const routeKeys = [
  'gateway',
  'via',
  'table',
  'metric',
  'scope',
  'prefsrc',
  'protocol',
  'metrics',
  'nexthops',
];

const routeItem = ({ dst, dev, type, flags, ...rest }: Route): string => {
  const details = Object.entries(rest)
    .filter(([key]) => routeKeys.includes(key))
    .map(([key, value]) => `${key} ${typeof value === 'string' ? value : JSON.stringify(value)}`);
  const onlink = Array.isArray(flags) && flags.includes('onlink') ? ['onlink'] : [];
  return ['route', type ?? 'unicast', dst, ...details, ...onlink, 'dev', dev].join(' ');
};

const nftItems = (entry: NftObject): string[] =>
  Object.entries(entry).flatMap(([kind, object]) => {
    if (kind === 'metainfo') return [];
    const { family, table, chain, name, handle: _handle, elem, ...rest } = object as NftObject;
    const title = ['nft', kind, family, table, chain, name].filter((part) => part !== undefined).join(' ');
    const body = JSON.stringify(rest, withoutCounters);
    const elements = Array.isArray(elem) ? elem : [];
    return [
      body === '{}' ? title : `${title} ${body}`,
      ...elements.map(
        (element) => `nft element ${family} ${table} ${name} ${JSON.stringify(element, withoutCounters)}`,
      ),
    ];
  });

const withoutCounters = (key: string, value: unknown): unknown =>
  ['packets', 'bytes', 'expires', 'handle'].includes(key) ? undefined : value;

// `*nat`, `:CHAIN POLICY [packets:bytes]`, `-A …`: the table's name goes to each line.
const tablesItems = (tool: string, text: string): string[] => {
  let table = '';
  return text.split('\n').flatMap((line) => {
    if (line.startsWith('*')) table = line.slice(1);
    return /^(:|-A)/.test(line) ? [`${tool} ${table} ${line.replace(/ \[\d+:\d+\]$/, '')}`] : [];
  });
};
