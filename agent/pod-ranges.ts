import { aggregatePrefixes } from '../shared/overlay/nat-plan.ts';
import type { OverlayNode } from '../shared/overlay/types.ts';

/**
 * The pod ranges of all nodes, as few as can be, and how they differ from those before. Of thousands, the
 * next ones are found from these: a node that joins costs next to nothing.
 */
export class PodRanges {
  readonly all: ReadonlySet<string>;
  readonly joined: ReadonlySet<string>;
  readonly left: ReadonlySet<string>;
  readonly aggregated: readonly string[];
  /** With those that left. */
  readonly withFormer: readonly string[];

  constructor(nodes: readonly OverlayNode[], before?: PodRanges) {
    this.all = new Set(nodes.flatMap(({ podCIDRs, podAddresses = [] }) => [...podCIDRs, ...podAddresses]));
    const former: ReadonlySet<string> = before?.all ?? new Set();
    this.joined = this.all.difference(former);
    this.left = former.difference(this.all);
    this.withFormer =
      before === undefined || this.joined.size > 0
        ? aggregatePrefixes([...(before?.aggregated ?? []), ...this.joined])
        : before.aggregated;
    this.aggregated = this.left.size > 0 ? aggregatePrefixes(this.all) : this.withFormer;
  }
}
