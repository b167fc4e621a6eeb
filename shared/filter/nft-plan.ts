import type { NftFamily } from '../kernel/nft-message.ts';

/**
 * What a feature wants of nftables, as a value. Plans compose: the runner carries out those of several
 * features in one transaction, and takes them back as one.
 */
export interface NftPlan {
  /** The configuration key that asks for it, for error messages. */
  feature: string;
  /** What all owners share: tables, sets and chains with their rules. Stays when the last owner goes. */
  frame: NftTable[];
  /** What is this owner's alone. */
  elements: NftElement[];
  /** Chains that are this owner's alone, to which its elements jump. They go with the elements. */
  chains?: OwnedChain[];
}

export interface NftTable {
  family: NftFamily;
  name: string;
  /** In an order in which each rule finds the sets and chains that it names. */
  sets: NftSet[];
  chains: NftChain[];
}

export interface NftSet {
  name: string;
  /** As nft writes it: `map` with `type ipv4_addr : verdict`. */
  kind: 'set' | 'map';
  type: string;
}

export interface NftChain {
  name: string;
  /** Absent for a chain that is only jumped to. */
  hook?: NftHook;
  /** Rules as nft writes them, without a comment: theirs is a checksum, by which CHECK knows them. */
  rules: string[];
  /** The administrator's: made where it is missing, and then never touched, whatever it holds. */
  administered?: true;
}

export interface NftHook {
  type: 'nat' | 'filter';
  name: keyof typeof HOOK_NUMBERS;
  priority: number;
}

/** A chain of one owner: its name tells whose. */
export interface OwnedChain extends NftChain {
  family: NftFamily;
  table: string;
}

/** An element of a set or map. Its comment names the owner. */
export interface NftElement {
  family: NftFamily;
  table: string;
  set: string;
  key: NftValue;
  /** For a verdict map: the chain to jump to. */
  jump?: string;
  /** For a map to data: what the key leads to. */
  data?: NftValue;
  comment: string;
  /** Wanted alike by several owners, and nobody's: it stays when one of them goes. */
  shared?: true;
  /** Who has the key keeps it: another owner's element is a conflict, not something to be replaced. */
  exclusive?: true;
}

/** A key: as nft writes it, and as the kernel keeps it, each part padded to 4 bytes. */
export interface NftValue {
  text: string;
  bytes: Uint8Array;
}

/** The numbers of netfilter hooks, the same for inet and bridge (linux/netfilter.h). */
export const HOOK_NUMBERS = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const;

/** The commands that make a table with its sets and chains where they are missing, and change nothing else. */
export const tableCommands = ({ family, name: table, sets, chains }: NftTable): string[] => [
  `add table ${family} ${table}`,
  ...sets.map(({ kind, name, type }) => `add ${kind} ${family} ${table} ${name} { type ${type} ; }`),
  ...chains.map(({ name, hook }) => `add chain ${family} ${table} ${name}${hookClause(hook)}`),
];

/**
 * The commands that give a chain its rules, whatever it holds. Flushing costs nothing when it is empty,
 * and keeps two that set it up at once from adding every rule twice.
 */
export const ruleCommands = ({ family, name: table }: NftTable, { name, rules }: NftChain): string[] => [
  `flush chain ${family} ${table} ${name}`,
  ...rules.map((rule) => `add rule ${family} ${table} ${name} ${rule} comment "${ruleComment(rule)}"`),
];

/** The commands that make an owner's chain with its rules, whatever it holds. */
export const chainCommands = (chain: OwnedChain): string[] => {
  const table = { family: chain.family, name: chain.table, sets: [], chains: [] };
  return [`add chain ${chain.family} ${chain.table} ${chain.name}`, ...ruleCommands(table, chain)];
};

/** The commands that delete an owner's chain; they fail with ENOENT when it is not there, EBUSY when in use. */
export const deleteChainCommands = ({ family, table, name }: OwnedChain): string[] => [
  `flush chain ${family} ${table} ${name}`,
  `delete chain ${family} ${table} ${name}`,
];

/**
 * The command that adds an element; it fails with EEXIST when the key is taken, whoever has it. One that is
 * shared may be there, with the same value.
 */
export const createCommand = (element: NftElement): string => {
  const { family, table, set, key, comment, shared } = element;
  const verb = shared ? 'add' : 'create';
  return `${verb} element ${family} ${table} ${set} { ${key.text} comment "${comment}"${valueText(element)} }`;
};

/** The command that deletes an element; it fails with ENOENT when it is not there. */
export const deleteCommand = ({ family, table, set, key }: Omit<NftElement, 'comment'>): string =>
  `delete element ${family} ${table} ${set} { ${key.text} }`;

/** The comment that a rule of ours has: a checksum of its text, so that any change shows. */
export const ruleComment = (rule: string): string =>
  `podwire ${Bun.hash.crc32(rule).toString(16).padStart(8, '0')}`;

/** The tables of several plans, each once, with the sets and chains of all. */
export const mergeFrames = (plans: readonly NftPlan[]): NftTable[] => {
  const tables = new Map<string, NftTable>();
  for (const table of plans.flatMap((plan) => plan.frame)) {
    const key = `${table.family} ${table.name}`;
    const known = tables.get(key);
    tables.set(key, known === undefined ? table : mergeTables(known, table));
  }
  return [...tables.values()];
};

const mergeTables = (first: NftTable, second: NftTable): NftTable => ({
  ...first,
  sets: uniqueByName([...first.sets, ...second.sets]),
  chains: uniqueByName([...first.chains, ...second.chains]),
});

const uniqueByName = <T extends { name: string }>(items: T[]): T[] => [
  ...new Map(items.map((item) => [item.name, item])).values(),
];

const valueText = ({ jump, data }: NftElement): string => {
  if (jump !== undefined) return ` : jump ${jump}`;
  return data === undefined ? '' : ` : ${data.text}`;
};

const hookClause = (hook: NftHook | undefined): string =>
  hook === undefined
    ? ''
    : ` { type ${hook.type} hook ${hook.name} priority ${hook.priority} ; policy accept ; }`;
