import {
  type IpFamily,
  type IptablesTable,
  type IptablesVariant,
  iptablesFailure,
  readIptablesTable,
  startIptablesTransaction,
} from '../kernel/iptables.ts';
import type { NftSocket } from '../kernel/nft-socket.ts';

/** Where a transaction goes. */
export interface IptablesPlace {
  socket: NftSocket;
  family: IpFamily;
  variant: IptablesVariant;
  table: 'nat' | 'filter';
}

export interface IptablesChange {
  /** What the table as it is needs; undefined when nothing. */
  plan(table: IptablesTable): string[] | undefined;
  /** Tells by netlink that the kernel has it, where netlink can; else the end of the child has to do. */
  isDone?: () => boolean;
  /** The configuration key or plugin that asks for it, for the error. */
  feature: string;
  attempts: number;
}

/** Milliseconds after which a look is worth while: iptables-restore alone ends sooner when it only adds. */
export const ADDITION_MS = 8;
export const DELETION_MS = 2;

/**
 * Plans from what is there and carries it out, anew when somebody changed the table in between. Throws
 * CniError 100 after the last attempt.
 */
export const changeIptables = async (
  { socket, family, variant, table }: IptablesPlace,
  { plan, isDone = () => false, feature, attempts }: IptablesChange,
): Promise<void> => {
  for (let attempt = 1; ; attempt++) {
    const commands = plan(readIptablesTable(family, variant, table));
    if (commands === undefined) return;
    const child = startIptablesTransaction(socket, family, variant, table, commands);
    const result = await child.settled(isDone, DELETION_MS);
    if (result === undefined || result.exitCode === 0) return;
    if (attempt === attempts) throw iptablesFailure(family, variant, result, feature);
  }
};
