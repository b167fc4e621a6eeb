import type { NftTable } from '../../shared/filter/nft-plan.ts';
import type { IpFamily, IptablesVariant } from '../../shared/kernel/iptables.ts';

/** Something that an attachment needs and the host has not, or has otherwise. */
export interface Lack {
  /** For a reader: `the bridge "cni0" is down`. */
  what: string;
  /** Attachments have it in common: it is reported once for all of them. */
  shared?: boolean;
  mend: Mend;
}

/** How a lack is mended. Those of one kind are carried out together, for all attachments at once. */
export type Mend =
  /** First of all, and in order: what lines for a tool can't say. */
  | { by: 'call'; run: () => void | Promise<void> }
  /** Lines for `TOOL -batch`, in the host's netns. A line that fails does not hold up the others. */
  | { by: 'batch'; tool: 'ip' | 'bridge' | 'tc'; lines: string[] }
  /** A part of nftables' transactions; `frame` when it is what all owners share. */
  | { by: 'nft'; commands: string[]; frame?: NftTable }
  /** A part of a transaction of `iptables-restore` on one table. */
  | {
      by: 'iptables';
      family: IpFamily;
      variant: IptablesVariant;
      table: 'nat' | 'filter';
      commands: string[];
    }
  /** Not by us. */
  | { by: 'nobody'; advice: string };

/** Lines for `ip -batch`. */
export const ipLines = (...lines: string[]): Mend => ({ by: 'batch', tool: 'ip', lines });
