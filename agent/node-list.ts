import type { OverlayNode } from '../shared/overlay/types.ts';
import type { Registry } from './registry/registry.ts';

/** Whether a list of nodes can be acted on, and why not. */
export type Judgement = { own: OverlayNode } | { waiting: string };

/**
 * A list without this node, or in which it has no pod range, says nothing about its peers that may be acted
 * on: an emptied file and a registry that lost its data look the same, and what is in force is better than
 * nothing.
 */
export const judgeNodes = (
  nodes: readonly OverlayNode[],
  name: string,
  kind: Registry['kind'],
): Judgement => {
  const own = nodes.find((node) => node.name === name);
  if (own === undefined) {
    // A Node begins without either, and its registry leaves such a one out.
    const lacking = kind === 'kubernetes' ? ' with an InternalIP and a pod range' : '';
    return { waiting: `node "${name}"${lacking} is not in the registry, which has ${namesOf(nodes)}` };
  }
  if (own.podCIDRs.length === 0) return { waiting: `node "${name}" has no pod range yet` };
  return { own };
};

const SHOWN = 10;

const namesOf = (nodes: readonly OverlayNode[]): string => {
  if (nodes.length === 0) return 'no nodes';
  const shown = nodes.slice(0, SHOWN).map(({ name }) => `"${name}"`);
  const more = nodes.length - shown.length;
  return shown.join(', ') + (more > 0 ? ` and ${more} more` : '');
};
