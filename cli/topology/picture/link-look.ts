import type { ClusterLink } from '../cluster.ts';
import type { LineLook } from './scene.ts';

/** How a link is drawn: what lacks something, or is told of differently by its two ends, as broken. */
export const lookOf = ({ via, problems }: ClusterLink): LineLook =>
  problems.length > 0 || via === 'mixed' ? 'broken' : via;
