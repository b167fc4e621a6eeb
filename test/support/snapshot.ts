import { type Dirent, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { type Look, snapshotItems } from './snapshot-items.ts';
import type { TestHost } from './test-host.ts';

/**
 * All that a plugin could have made on a host and in its pods, one line of text for each thing:
 * `link cni0 …`, `addr …`, `route …`, `qdisc …`, `nft rule …`, `iptables-nft nat -A …`, `file /var/lib/cni/…`;
 * what is inside a pod begins with `netns <pod>: `. Interface numbers, counters, lifetimes and the
 * link-local addresses made by the kernel are left out, so that equal states are equal lines.
 */
export type Snapshot = string[];

export interface Leftovers {
  /** There after, not before. */
  added: string[];
  /** There before, not after. */
  removed: string[];
}

/** Looks at a host as it is now. Throws when a tool fails, so that nothing is taken for absent. */
export const snapshot = async (host: TestHost): Promise<Snapshot> => {
  const sections = (await host.shell(lookScript)).split('\x1e').slice(1);
  const look: Look = sections.map((section) => {
    const end = section.indexOf('\n');
    const [netns = '', part = ''] = section.slice(0, end).split(' ');
    return { netns, part, text: section.slice(end + 1) };
  });
  return [
    ...snapshotItems(look),
    ...stateDirectories.flatMap((directory) => fileItems(host, directory)),
  ].toSorted();
};

/** What two looks at a host differ by; lines that match one of `allow` are left out. */
export const leftovers = (before: Snapshot, after: Snapshot, allow: RegExp[] = []): Leftovers => {
  const counts = (line: string): boolean => ![...notPodsOwn, ...allow].some((pattern) => pattern.test(line));
  return { added: without(after, before).filter(counts), removed: without(before, after).filter(counts) };
};

/** What `leftovers` returns when nothing is left. */
export const nothing: Leftovers = { added: [], removed: [] };

/**
 * For `allow`: what a bridge plugin keeps on purpose for the next pod, the bridge of this name with
 * its addresses and routes.
 */
export const keptBridge = (name: string): RegExp[] => [
  new RegExp(`^link ${name} `),
  new RegExp(`^addr ${name} `),
  new RegExp(`^route .* dev ${name}$`),
];

/** For `allow`: an overlay's own part of a node, which the vxlan plugin keeps for the next pod. */
export const keptOverlay = [
  /\bpw(vxlan|br)\d+\b/,
  / protocol 112\b/,
  /^(directory|file) \/run\/podwire\/overlay(\/|$)/,
  /\bpodwire_overlay\d+\b/,
];

/**
 * For `allow`: what the reference portmap keeps for the next pod, its top-level chains and the jumps
 * to them. The chains of a pod's own mappings are not among it.
 */
export const keptPortmapChains = [
  /^ip6?tables-\S+ nat :CNI-HOSTPORT-(DNAT|SETMARK|MASQ) /,
  /^ip6?tables-\S+ nat -A CNI-HOSTPORT-(SETMARK|MASQ) /,
  /^ip6?tables-\S+ nat -A (PREROUTING|OUTPUT|POSTROUTING) .*-j CNI-HOSTPORT-/,
  /^nft (chain|rule) ip6? nat (CNI-HOSTPORT-(DNAT|SETMARK|MASQ)|PREROUTING|OUTPUT|POSTROUTING)( |$)/,
];

const stateDirectories = ['/var/lib/cni', '/run/cni', '/run/podwire'];

// Belongs to no pod and stays for the next one: directories and locks; host-local's memory of the last
// address and its index, as far as that is empty; what a killed cluster-ipam was writing, which a later call
// writes over or removes after a while; the masquerade table's chain for each subnet, and the
// tables of spoof check and portmap, without elements and owners' chains; and the empty table with built-in chains that iptables' nft
// variant creates on first use.
const notPodsOwn = [
  /^directory \/var\/lib\/cni\/(networks|results)(\/[^/]+)?$/,
  /^directory \/var\/lib\/cni\/networks\/\.podwire\/[^/]+(\/(owners|used))?$/,
  /^directory \/run\/(cni|podwire)(\/[^/]+){1,2}$/,
  /^file \/\S*\/lock /,
  /^file \/run\/podwire\/locks\//,
  /^file \/var\/lib\/cni\/networks\/[^/]+\/last_reserved_ip\.\d+ /,
  /^file \/var\/lib\/cni\/networks\/\.podwire\/[^/]+\/(seal |(owners|used)\/\S+ ""$)/,
  /^directory \/var\/lib\/cni\/(datastore(\/[^/]+)?|networks\/\.nodes(\/[^/]+)?)$/,
  /^file \/var\/lib\/cni\/(datastore\/[^/]+\/\.[0-9a-f-]{36}|networks\/\.nodes\/[^/]+\/\.state\.json) /,
  /^nft (table|map) inet podwire_masquerade( pods[46])?( |$)/,
  /^nft (chain|rule) inet podwire_masquerade (postrouting|from-\S+)( |$)/,
  /^nft (table|set|chain|rule) bridge podwire_spoof\b/,
  /^nft (table|map) inet podwire_portmap( |$)/,
  /^nft (chain|rule) inet podwire_portmap (?!own-)/,
  /^nft table ip6? (filter|nat|mangle|raw|security)$/,
  /^nft chain ip6? (filter|nat|mangle|raw|security) [A-Z]+ /,
  /^ip6?tables-\S+ (filter|nat|mangle|raw|security) :[A-Z]+ ACCEPT$/,
];

const without = (lines: string[], others: string[]): string[] => {
  const counts = new Map<string, number>();
  for (const line of others) counts.set(line, (counts.get(line) ?? 0) + 1);
  return lines.filter((line) => {
    const count = counts.get(line) ?? 0;
    counts.set(line, count - 1);
    return count <= 0;
  });
};

const fileItems = (host: TestHost, directory: string): Snapshot => {
  const entries = readdirSync(host.path(directory), { withFileTypes: true });
  return entries.flatMap((entry) => {
    const path = `${directory}/${entry.name}`;
    if (!entry.isDirectory()) return [fileItem(host, path, entry)];
    return [`directory ${path}`, ...fileItems(host, path)];
  });
};

const fileItem = (host: TestHost, path: string, entry: Dirent): string => {
  if (entry.isSymbolicLink()) return `symlink ${path} ${readlinkSync(host.path(path))}`;
  if (!entry.isFile()) return `special file ${path}`;
  // The bitmaps of the address index grow and are never cut.
  const content = readFileSync(host.path(path), 'utf8').replace(/\0+$/, '');
  const shown =
    content.length <= 4000 ? content : `${Bun.hash(content).toString(16)} (${content.length} bytes)`;
  return `file ${path} ${JSON.stringify(shown)}`;
};

// One shell for all tools, as entering the namespaces for each would double the time. The legacy tables
// can be neither read nor written in a user namespace.
const lookScript = `
look() {
  netns=$1; shift
  printf '\\036%s links\\n' "$netns"; "$@" ip -j -d addr
  printf '\\036%s routes\\n' "$netns"; "$@" ip -j -4 route show table all
  printf '\\036%s routes\\n' "$netns"; "$@" ip -j -6 route show table all
  printf '\\036%s rules\\n' "$netns"; "$@" ip -4 rule; "$@" ip -6 rule
}
look ''
for pod in $(ls /run/netns); do look "$pod" nsenter --net="/run/netns/$pod"; done
if command -v tc >/dev/null; then printf '\\036 qdiscs\\n'; tc -d qdisc show; fi
if command -v nft >/dev/null; then printf '\\036 nft\\n'; nft -j list ruleset; fi
for variant in iptables-nft ip6tables-nft iptables-legacy ip6tables-legacy; do
  command -v "$variant-save" >/dev/null || continue
  printf '\\036 %s\\n' "$variant"
  case $variant in
  *legacy) "$variant-save" 2>/dev/null || true ;;
  *) "$variant-save" ;;
  esac
done
`;
