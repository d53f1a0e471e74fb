/**
 * What a reader lets do the work on bytes: look ids up, draw, encode. Two do it, from the same randomness
 * with the same result: the WebAssembly kernel, and its plain twin where that cannot run. Belongs to one
 * thread.
 */
import type { Draw } from '../selection/selection.ts';
import type { EncodedFormat, NodeIds } from '../selection/selection-types.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';

/** What `takeIds` returns when all were ids. */
export const ALL_TAKEN = -1;

export type KernelKind = 'wasm' | 'typescript';

/** What the last `select` came to. */
export interface Outcome {
  readonly found: number;
  /** Of them from the new pool, and how many were wanted from each. */
  readonly newFound: number;
  readonly newWanted: number;
  readonly vettedWanted: number;
  /** Ids to exclude, and held ones, that the snapshot knows. */
  readonly excludedKnown: number;
  readonly heldKnown: number;
}

export interface Kernel {
  readonly kind: KernelKind;
  /**
   * What follows is about `snapshot`, which stands in `slot`; the reader has leased it and taken its counts.
   */
  open(slot: number, snapshot: Snapshot): void;
  /**
   * Takes `ids` as those that the next call is about, from number `first` on. Returns the index of one that
   * is no node id, or ALL_TAKEN.
   */
  takeIds(first: number, ids: NodeIds): number;
  /** That id as 64 lower-case hexadecimal digits. */
  idText(index: number): string;
  /**
   * Draws; the first `excludedIds` ids taken are excluded, the `heldIds` after them held. Returns the picks
   * found.
   */
  select(draw: Draw, excludedIds: number, heldIds: number): number;
  /** Picks of the last `select` that are from the new pool. */
  newFound(): number;
  outcome(): Outcome;
  /**
   * Encodes the picks of the last `select` to `target`, which has room for them; returns the bytes written.
   */
  encode(format: EncodedFormat, ageMs: number, target: Uint8Array): number;
  /** Writes their node records to `target` from byte `at`. */
  records(target: Uint8Array, at: number): void;
  /** Writes their rows, 32 bits each, little-endian. */
  rows(target: Uint8Array, at: number): void;
  /** Looks up the first `count` ids taken, for `foundRow`. */
  lookup(count: number): void;
  /** Row of id `index`, or NO_ROW. */
  foundRow(index: number): number;
  /** Writes the node record of `row` to the start of `target`. */
  record(row: number, target: Uint8Array): void;
}
