import type { Verb } from './scenarios.ts';

/** What one call, or one churn of many, cost. */
export interface Cost {
  /** From before the start until the exit and the end of stdout and stderr, as a runtime waits; milliseconds. */
  wallMs: number;
  /** User and system time of the process, its children, and what it left running behind; milliseconds. */
  cpuMs: number;
}

export type Costs = Partial<Record<Verb, Cost>>;

/** What a call needs apart from time; measured in runs that are not timed. */
export interface Footprint {
  /** Of the largest among the plugin and its children, in megabytes of 1,000,000 bytes. */
  peakMB: number;
  /** Programs executed besides the plugin; undefined where strace cannot tell. */
  children: number | undefined;
}

export type Footprints = Partial<Record<Verb, Footprint>>;

/** What the bench asks a worker, one at a time; the answers are below. */
export type Request =
  | { do: 'prepare'; scenario: string; bin: string; isOurs: boolean }
  | { do: 'floor'; rounds: number }
  | { do: 'fill'; count: number }
  | { do: 'reserve'; count: number }
  | { do: 'use'; addresses: number; where: 'here' | 'elsewhere' }
  | { do: 'etcd'; bin: string; adds: number; claims: number }
  | { do: 'cycle'; verbs: readonly Verb[] }
  | { do: 'churn' }
  | { do: 'footprint'; verbs: readonly Verb[] };

/** A worker's line: what the request gave, or why it failed. */
export type Response = { ok: true; value: Answer } | { ok: false; error: string };

export type Answer = null | number[] | Costs | Footprints | EtcdFigures;

/** What cluster-ipam does with an etcd on the same machine. */
export interface EtcdFigures {
  /** ADDs made, and by how much they raised etcd's revision: the writes. */
  adds: number;
  writes: number;
  /** Whole calls that had a block at hand, and whole calls that had to claim one; ms. */
  atHandMs: number[];
  claimingMs: number[];
  /** Within a process that is connected: taking over what etcd says, and claiming a block; ms. */
  connectedMs: number[];
}
