import type { Pool } from './pool.ts';
import type { Labels } from './records.ts';

/** Who asks for an address, as far as it decides about pools. */
export interface Asker {
  node: string;
  nodeLabels: Labels;
  /** Empty where the runtime told none. */
  namespace: string;
  /** Undefined where this node does not know them. */
  namespaceLabels: Labels | undefined;
  /** The pools that the pod's annotation names, in its order; undefined without it. */
  named: readonly string[] | undefined;
}

/** A pool, and in words why it is used or not. */
export interface Verdict {
  pool: string;
  family: 4 | 6 | undefined;
  isEligible: boolean;
  reason: string;
}

export interface Choice {
  /** The pools to try, in this order. */
  pools: Pool[];
  /** One verdict for each pool, those to try first. */
  trail: Verdict[];
}

/**
 * The pools that a pod may have addresses of. An annotation names them and their order; without it, all whose
 * selectors fit count, those for this namespace before those for all, and by name. `disabled` excludes in either case,
 * and so does a selector that does not fit: an annotation asks, it does not override.
 */
export const choosePools = (pools: readonly Pool[], asker: Asker): Choice => {
  const verdicts = pools.map((pool) => ({ pool, problem: problemOf(pool, asker) }));
  const eligible = verdicts.filter(({ problem }) => problem === undefined).map(({ pool }) => pool);
  const rank = (pool: Pool): number =>
    asker.named !== undefined ? asker.named.indexOf(pool.name) : pool.namespaceSelector === undefined ? 1 : 0;
  eligible.sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1));
  const missing = (asker.named ?? []).filter((name) => !pools.some((pool) => pool.name === name));
  return {
    pools: eligible,
    trail: [
      ...eligible.map((pool) => verdict(pool, true, reasonFor(pool, asker))),
      ...verdicts.flatMap(({ pool, problem }) =>
        problem === undefined ? [] : [verdict(pool, false, problem)],
      ),
      ...missing.map((pool) => ({
        pool,
        family: undefined,
        isEligible: false,
        reason: 'the annotation names it, but there is no such pool',
      })),
    ],
  };
};

/** `pool a: its namespaces include "x"; pool b: it is disabled` */
export const describeTrail = (trail: readonly Verdict[]): string =>
  trail.length === 0
    ? 'there are no pools'
    : trail.map(({ pool, reason }) => `pool ${pool}: ${reason}`).join('; ');

const verdict = (pool: Pool, isEligible: boolean, reason: string): Verdict => ({
  pool: pool.name,
  family: pool.cidr.family,
  isEligible,
  reason,
});

const problemOf = (pool: Pool, asker: Asker): string | undefined => {
  if (pool.disabled) return 'it is disabled';
  if (asker.named !== undefined && !asker.named.includes(pool.name)) return 'the annotation does not name it';
  const lacking = Object.entries(pool.nodeLabels).find(([key, value]) => asker.nodeLabels[key] !== value);
  if (lacking !== undefined) return `node ${asker.node} lacks the label ${lacking.join('=')}`;
  return namespaceProblem(pool, asker);
};

const namespaceProblem = (
  { namespaceSelector }: Pool,
  { namespace, namespaceLabels }: Asker,
): string | undefined => {
  if (namespaceSelector === undefined) return undefined;
  const { names, matchLabels = {} } = namespaceSelector;
  if (namespace === '') return 'it is for certain namespaces, and the runtime told none';
  if (names !== undefined && !names.includes(namespace)) {
    return `namespace "${namespace}" is none of ${names.join(', ') || 'its (empty) list'}`;
  }
  const labels = Object.entries(matchLabels);
  if (labels.length === 0) return undefined;
  if (namespaceLabels === undefined)
    return `the labels of namespace "${namespace}" are not known on this node`;
  const lacking = labels.find(([key, value]) => namespaceLabels[key] !== value);
  return lacking && `namespace "${namespace}" lacks the label ${lacking.join('=')}`;
};

const reasonFor = (pool: Pool, asker: Asker): string => {
  if (asker.named !== undefined) return 'the annotation names it';
  if (pool.namespaceSelector !== undefined) return `it is for namespace "${asker.namespace}"`;
  return 'it is for all namespaces';
};
