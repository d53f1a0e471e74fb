/** What became of loads and deltas, as plain data for status, metrics and log. Types only. */
import type { ChangeCounts } from '../engine/delta/delta-engine.ts';
import type { ErrorData } from '../engine/errors.ts';

/** What a load published, and what it left out. */
export interface LoadReport {
  readonly generation: number;
  /** When the read began, wall clock, ISO 8601: information only, ages come from the monotonic clock. */
  readonly readAt: string;
  /** From the first question to the moment from which threads see it. */
  readonly durationMs: number;
  readonly readMs: number;
  readonly buildMs: number;
  readonly validateMs: number;
  readonly publishMs: number;
  /** What changes and expiry need of it, done while it is served already. */
  readonly followUpMs: number;
  /** Bytes of the snapshot that are in use. */
  readonly snapshotBytes: number;
  readonly nodes: NodeCounts;
  /** Rows refused one by one, by reason (`address-invalid`, `port-invalid`, `id-duplicate`, …). */
  readonly refused: Readonly<Record<string, number>>;
  /** Nodes that can be looked up but not selected, by criterion. */
  readonly ineligible: Readonly<Record<string, number>>;
  /** Nodes that the source left out altogether, by criterion. */
  readonly absent: Readonly<Record<string, number>>;
  /** Why those could not be counted; then `absent` is empty. */
  readonly absentError?: string;
  /** Of the bytes of the snapshot. */
  readonly digest: string;
  /** Of what they say: the same for the same rows, whoever loaded them and in whatever order. */
  readonly contentDigest: string;
}

export interface NodeCounts {
  readonly total: number;
  readonly vetted: number;
  readonly new: number;
  readonly ineligible: number;
  /** Distinct networks among vetted, among new, and over both. */
  readonly vettedNetworks: number;
  readonly newNetworks: number;
  readonly networks: number;
}

/** What a delta published: nodes that the source had said something new about. */
export interface DeltaReport {
  readonly generation: number;
  readonly readAt: string;
  /** What became of the nodes that were asked about. */
  readonly changed: ChangeCounts;
  readonly durationMs: number;
  readonly readMs: number;
  /** Building, checking and publishing. */
  readonly applyMs: number;
  /** From the earliest write to the publish, by two wall clocks; absent where the source did not say. */
  readonly lagMs?: number;
  readonly nodes: NodeCounts;
  readonly contentDigest: string;
}

export interface DeltaCounts {
  readonly published: number;
  readonly failed: number;
  /** Nodes taken out at once because the source said so, ahead of the delta. */
  readonly takenOut: number;
}

/** What became of the snapshot file at the start. */
export interface RestoreReport {
  /** Absent: nothing could be used. */
  readonly generation?: number;
  readonly nodes?: NodeCounts;
  /** When its source was read, by the wall clock of then. */
  readonly readAt?: string;
  readonly path?: string;
  /** What is wrong with the newest file, when there is something. */
  readonly problem?: ErrorData;
}
