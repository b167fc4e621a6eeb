import type { CniError } from '../shared/cni/errors.ts';
import type { NodeState, SkippedPeer } from '../shared/overlay/types.ts';

/** What `/readyz` answers. */
export interface Readiness {
  ready: boolean;
  /** Why it is not. */
  reasons: string[];
  /** What an operator should know although it is. */
  notes: string[];
}

/** How the last sync ended. */
export interface SyncOutcome {
  state: NodeState;
  peers: { vxlan: number; direct: number };
  skipped: readonly SkippedPeer[];
}

/** What the agent knows of itself, for readiness, metrics and log. */
export class AgentStatus {
  readonly registryKind: string;
  /** Why there is nothing to sync with. */
  waiting: string | undefined = 'the registry has not told of any node yet';
  /** Since when and why the registry cannot be relied on. */
  registryTrouble: { since: Date; error: CniError } | undefined;
  /** The same of cluster-ipam's datastore. */
  ipamTrouble: { since: Date; error: CniError } | undefined;
  refused: readonly string[] = [];
  nodes = 0;
  syncFailure: { since: Date; error: CniError } | undefined;
  /** When a sync began that has not ended. */
  syncing: Date | undefined;
  outcome: SyncOutcome | undefined;
  lastSuccess: Date | undefined;
  /** Whether the network configuration is in place. */
  conflistWritten = false;

  constructor(registryKind: string) {
    this.registryKind = registryKind;
  }

  registryFailed(error: CniError): void {
    this.registryTrouble = { since: this.registryTrouble?.since ?? new Date(), error };
  }

  /** Undefined: the trouble is over. */
  ipamIs(error: CniError | undefined): void {
    this.ipamTrouble = error && { since: this.ipamTrouble?.since ?? new Date(), error };
  }

  syncFailed(error: CniError): void {
    this.syncFailure = { since: this.syncFailure?.since ?? new Date(), error };
  }

  syncSucceeded(outcome: SyncOutcome): void {
    this.outcome = outcome;
    this.syncFailure = undefined;
    this.lastSuccess = new Date();
  }

  /** A registry in trouble is no reason once a sync has succeeded: what it said before stays in force. */
  readiness(): Readiness {
    const reasons = [
      ...(this.waiting === undefined ? [] : [this.waiting]),
      ...(this.syncFailure === undefined
        ? []
        : [`syncs have failed since ${iso(this.syncFailure.since)}: ${this.syncFailure.error.message}`]),
    ];
    const trouble =
      this.registryTrouble === undefined
        ? []
        : [`registry stale since ${iso(this.registryTrouble.since)}: ${this.registryTrouble.error.message}`];
    if (this.ipamTrouble !== undefined)
      trouble.push(
        `the datastore of cluster-ipam is away since ${iso(this.ipamTrouble.since)}: ${this.ipamTrouble.error.message}`,
      );
    if (this.outcome === undefined) reasons.push(...trouble);
    if (this.outcome === undefined && reasons.length === 0) reasons.push('the first sync has not ended yet');
    const notes = [
      ...(this.outcome === undefined ? [] : trouble),
      ...this.refused.map((entry) => `an entry is left out: ${entry}`),
      ...(this.outcome?.skipped ?? []).map(({ name, reason }) => `peer "${name}" is left out: ${reason}`),
    ];
    return { ready: reasons.length === 0, reasons, notes };
  }

  /** Whether the event loop turns and no sync hangs; every child has a timeout far below this. */
  alive(now: number = Date.now()): boolean {
    return this.syncing === undefined || now - this.syncing.getTime() < LONGEST_SYNC_MS;
  }
}

const LONGEST_SYNC_MS = 300_000;

const iso = (date: Date): string => date.toISOString();
