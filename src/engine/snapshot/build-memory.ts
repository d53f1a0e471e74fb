/**
 * Private memory that a build and its validation work in. Whoever builds again and again keeps it: the first
 * touch of a page is dear (60 of 130 ns for staging a row, measured 2026-11). Reserved at the capacity; what
 * is not touched costs nothing.
 */
import { indexEntriesFor } from '../../../native-layout/snapshot-header.ts';
import type { PlacementPlan } from '../placement/placement-plan.ts';
import { StagedRows } from './staged-rows.ts';

export class BuildMemory {
  readonly staged: StagedRows;
  /** Of each row: the hash of its id, its network, and the filters that let it pass. */
  readonly idHashes: Uint32Array;
  readonly networks: Uint32Array;
  readonly passes: Uint32Array;
  /** For each entry of the id index the hash of the id that it stands for. */
  readonly entryHashes: Uint32Array;

  /** For snapshots of up to `capacity` rows. */
  constructor(capacity: number, plan: PlacementPlan) {
    this.staged = new StagedRows(capacity, plan.attributes.length);
    this.idHashes = new Uint32Array(capacity);
    this.networks = new Uint32Array(capacity);
    this.passes = new Uint32Array(plan.filters.length > 1 ? capacity : 0);
    this.entryHashes = new Uint32Array(indexEntriesFor(capacity));
  }
}
