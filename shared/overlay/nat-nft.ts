import { findFrameLacks } from '../filter/nft-lacks.ts';
import { type NftTable, ruleCommands, tableCommands } from '../filter/nft-plan.ts';
import { bitsOf } from '../kernel/address-math.ts';
import { nftError, startNft } from '../kernel/nft.ts';
import type { NftElementState } from '../kernel/nft-message.ts';
import { readNftChains, readNftElements } from '../kernel/nft-read.ts';
import type { NftSocket } from '../kernel/nft-socket.ts';
import type { AddressRange } from './address-ranges.ts';
import { formatRange, mergeRanges, sameRanges } from './address-ranges.ts';
import type { NatPlan } from './nat-plan.ts';

/**
 * Gives the overlay's table what the plan says, in one transaction; nothing is written where nothing differs.
 * Returns whether something did. Rejects with CniError 100, or 104 when the kernel lacks what NAT needs.
 */
export const syncNftNat = async (socket: NftSocket, plan: NatPlan): Promise<boolean> => {
  if (lacksFrame(socket, plan)) {
    await run(socket, [...deleteTable(plan.vni), ...createTable(plan)]);
    return true;
  }
  const differing = differingSets(socket, plan);
  if (differing.length === 0) return false;
  const table = tableName(plan.vni);
  const flush = differing.map(({ name }) => `flush set ${FAMILY} ${table} ${name}`);
  await run(socket, [...flush, ...differing.flatMap((set) => addElements(table, set))]);
  return true;
};

/** Whether `syncNftNat` would write anything. */
export const nftNatDiffers = (socket: NftSocket, plan: NatPlan): boolean =>
  lacksFrame(socket, plan) || differingSets(socket, plan).length > 0;

/** Takes the table away; without one, no child is started. Returns whether there was one. */
export const removeNftNat = async (socket: NftSocket, vni: number): Promise<boolean> => {
  if (readNftChains(socket, FAMILY, tableName(vni)).length === 0) return false;
  await run(socket, deleteTable(vni));
  return true;
};

/**
 * What the elements of a set of intervals hold: each begins a range or ends one, and the kernel's order is
 * not by key.
 */
export const rangesOfElements = (family: 4 | 6, elements: readonly NftElementState[]): AddressRange[] => {
  const edges = elements
    .map(({ key, intervalEnd }) => ({ at: toBigInt(key), end: intervalEnd === true }))
    // One range may end where the next begins.
    .toSorted((one, other) =>
      one.at === other.at ? Number(other.end) - Number(one.end) : one.at < other.at ? -1 : 1,
    );
  const ranges: AddressRange[] = [];
  let first: bigint | undefined;
  for (const { at, end } of edges) {
    if (first !== undefined && at > first) ranges.push({ family, first, last: at - 1n });
    first = end ? undefined : at;
  }
  if (first !== undefined) ranges.push({ family, first, last: (1n << BigInt(bitsOf(family))) - 1n });
  return mergeRanges(ranges);
};

const FAMILY = 'inet';
const FEATURE = 'NAT of what leaves the overlay';

const lacksFrame = (socket: NftSocket, { vni }: NatPlan): boolean =>
  findFrameLacks(socket, [{ feature: FEATURE, frame: [natTable(vni)], elements: [] }]).length > 0;

const differingSets = (socket: NftSocket, plan: NatPlan): NatSet[] => {
  const table = tableName(plan.vni);
  return setsOf(plan).filter(
    ({ name, family, ranges }) =>
      !sameRanges(
        rangesOfElements(family, readNftElements(socket, { family: FAMILY, table, set: name })),
        ranges,
      ),
  );
};

const tableName = (vni: number): string => `podwire_overlay${vni}`;

interface NatSet {
  name: string;
  family: 4 | 6;
  ranges: AddressRange[];
}

const setsOf = ({ sources, excluded }: NatPlan): NatSet[] =>
  ([4, 6] as const).flatMap((family) => {
    const ofFamily = (ranges: AddressRange[]): AddressRange[] =>
      ranges.filter((range) => range.family === family);
    return [
      { name: `pods${family}`, family, ranges: ofFamily(sources) },
      { name: `excluded${family}`, family, ranges: ofFamily(excluded) },
    ];
  });

const natTable = (vni: number): NftTable => ({
  family: FAMILY,
  name: tableName(vni),
  sets: setsOf({ vni, sources: [], excluded: [] }).map(({ name, family }) => ({
    name,
    kind: 'set',
    type: `ipv${family}_addr ; flags interval`,
  })),
  chains: [
    {
      name: 'postrouting',
      // As nft's `srcnat`.
      hook: { type: 'nat', name: 'postrouting', priority: 100 },
      // Random ports: two packets at once are less likely to be given the same one (as kube-proxy does).
      rules: [
        'ip saddr @pods4 ip daddr != @excluded4 masquerade fully-random',
        'ip6 saddr @pods6 ip6 daddr != @excluded6 masquerade fully-random',
      ],
    },
  ],
});

const createTable = (plan: NatPlan): string[] => {
  const table = natTable(plan.vni);
  return [
    ...tableCommands(table),
    ...setsOf(plan).flatMap((set) => addElements(table.name, set)),
    ...table.chains.flatMap((chain) => ruleCommands(table, chain)),
  ];
};

/** Also where there is none: deleting alone would fail. */
const deleteTable = (vni: number): string[] => [
  `add table ${FAMILY} ${tableName(vni)}`,
  `delete table ${FAMILY} ${tableName(vni)}`,
];

const addElements = (table: string, { name, ranges }: NatSet): string[] =>
  ranges.length === 0
    ? []
    : [`add element ${FAMILY} ${table} ${name} { ${ranges.map(formatRange).join(', ')} }`];

const run = async (socket: NftSocket, commands: string[]): Promise<void> => {
  const result = await startNft(socket, commands).result();
  if (result.exitCode !== 0) throw nftError(result, FEATURE);
};

const toBigInt = (bytes: Uint8Array): bigint =>
  bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
