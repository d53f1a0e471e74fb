// @hotpath
/**
 * Writes the rows of the next snapshot to its slot: runs of the current one as they are, and what changes in
 * between. Each block of rows is read back while it is in the nearest cache: its part of the digest, the
 * networks of its rows, and whether these are in order, are those of the bytes that were written.
 */
import {
  ID_WORDS,
  ROW_NETWORK_WORD,
  ROW_WORDS,
  WIDE_ADDRESS_BYTES,
} from '../../../native-layout/snapshot-row.ts';
import type { SnapshotViews } from '../../../native-layout/snapshot-views.ts';
import { RowWriter, writeWideAddress } from '../address/row-writer.ts';
import { assert } from '../assert.ts';
import { CacheError } from '../errors.ts';
import type { Digest } from '../snapshot/digest.ts';
import type { ChangeList } from './change-list.ts';
import type { ResolvedChanges } from './change-resolution.ts';
import { type RowEdits, RUN_WORDS } from './row-edits.ts';

/** Rows of a block: a page of memory, which is then in the nearest cache. */
const BLOCK_ROWS = 64;
/** Shorter runs are copied one by one: a call costs as much. */
const SET_MIN = 16;

export interface RowChanges {
  readonly changes: ChangeList;
  readonly resolved: ResolvedChanges;
  readonly edits: RowEdits;
}

/** Where what is noted of the rows goes. */
export interface CopyNotes {
  readonly digest: Digest;
  /** Network of each row. */
  readonly networks: Uint32Array;
  /** 1 for each network that a row is in; all zero before. */
  readonly networksSeen: Uint8Array;
}

/** Writes all rows, and the wide addresses of those that change, to `target`. Throws SNAPSHOT_CORRUPT. */
export function copyRows(
  current: SnapshotViews,
  target: SnapshotViews,
  change: RowChanges,
  notes: CopyNotes,
): void {
  const copier = new RowCopier(current, target, change, notes);
  const { runs, coming } = change.edits;
  let came = 0;
  for (let run = 0; run < runs.length; run += RUN_WORDS) {
    came = copier.writeComing(came, runs[run + 2]!);
    copier.copyRun(runs[run]!, runs[run + 1]!, runs[run + 2]!);
  }
  came = copier.writeComing(came, change.edits.rowCount);
  assert(came === coming.length, 'every row that comes has a place');
  copier.flush(change.edits.rowCount);
}

class RowCopier {
  readonly #from: Uint32Array;
  readonly #to: Uint32Array;
  readonly #target: SnapshotViews;
  readonly #writer: RowWriter;
  readonly #change: RowChanges;
  readonly #notes: CopyNotes;
  /** Rows that have been read back, and the network of the last of them. */
  #done = 0;
  #network = 0;
  /** Next of the patched rows. */
  #patch = 0;

  constructor(current: SnapshotViews, target: SnapshotViews, change: RowChanges, notes: CopyNotes) {
    this.#from = current.rowWords;
    this.#to = target.rowWords;
    this.#target = target;
    this.#writer = new RowWriter(target);
    this.#change = change;
    this.#notes = notes;
  }

  /**
   * Writes the rows that come, from number `came` on, whose new rows are below `end`; returns the next one.
   */
  writeComing(came: number, end: number): number {
    const { coming, newRows } = this.#change.edits;
    let next = came;
    for (; next < coming.length; next++) {
      const change = coming[next]!;
      const row = newRows[change]!;
      if (row >= end) break;
      this.#write(change, row);
      if (row + 1 - this.#done >= BLOCK_ROWS) this.flush(row + 1);
    }
    return next;
  }

  copyRun(from: number, to: number, newRow: number): void {
    for (let row = from, at = newRow; row < to; row += BLOCK_ROWS, at += BLOCK_ROWS) {
      const end = Math.min(to, row + BLOCK_ROWS);
      this.#to.set(this.#from.subarray(row * ROW_WORDS, end * ROW_WORDS), at * ROW_WORDS);
      this.#patchBelow(at + end - row);
      if (at + end - row - this.#done >= BLOCK_ROWS) this.flush(at + end - row);
    }
  }

  /** Reads the rows below `end` back that have not been. */
  flush(end: number): void {
    const { digest, networks, networksSeen } = this.#notes;
    const { vettedCount, newCount } = this.#change.edits;
    const words = this.#to;
    const newEnd = vettedCount + newCount;
    let before = this.#network;
    digest.update(words, this.#done * ROW_WORDS, (end - this.#done) * ROW_WORDS);
    for (let row = this.#done; row < end; row++) {
      const network = words[row * ROW_WORDS + ROW_NETWORK_WORD]!;
      if (network < before && row !== vettedCount && row !== newEnd) {
        throw new CacheError('SNAPSHOT_CORRUPT', `row ${row} stands behind network ${before}`);
      }
      networks[row] = network;
      networksSeen[network] = 1;
      before = network;
    }
    this.#network = before;
    this.#done = end;
  }

  #patchBelow(end: number): void {
    const { patched, newRows } = this.#change.edits;
    for (; this.#patch < patched.length; this.#patch++) {
      const change = patched[this.#patch]!;
      const row = newRows[change]!;
      if (row >= end) return;
      this.#write(change, row);
    }
  }

  #write(change: number, row: number): void {
    const { changes, resolved } = this.#change;
    const to = this.#to;
    const { words } = changes;
    const from = changes.idWord(change);
    const at = row * ROW_WORDS;
    for (let i = 0; i < ID_WORDS; i++) to[at + i] = words[from + i]!;
    to[at + ROW_NETWORK_WORD] = resolved.networks[change]!;
    if (changes.isWide(change)) {
      const number = resolved.wides[change]!;
      writeWideAddress(this.#target.wideAddressBytes, number, changes.wide, changes.wideByte(change));
      this.#writer.writeWide(row, number, changes.port(change));
    } else {
      this.#writer.writeIpv4(row, changes.ipv4(change), changes.port(change));
    }
  }
}

/** What a column of one entry a row has for a row that changes. */
export type EntryOf = (change: number) => number;

/** Copies a column of one entry a row, with the entries of rows that change. */
export function copyColumn<A extends Uint16Array | Uint32Array>(
  from: A,
  to: A,
  { runs, coming, patched, newRows }: RowEdits,
  entryOf: EntryOf,
): void {
  for (let run = 0; run < runs.length; run += RUN_WORDS) {
    const first = runs[run]!;
    const end = runs[run + 1]!;
    const at = runs[run + 2]!;
    if (end - first >= SET_MIN) to.set(from.subarray(first, end), at);
    else for (let i = first; i < end; i++) to[at + i - first] = from[i]!;
  }
  for (let i = 0; i < coming.length; i++) to[newRows[coming[i]!]!] = entryOf(coming[i]!);
  for (let i = 0; i < patched.length; i++) to[newRows[patched[i]!]!] = entryOf(patched[i]!);
}

/** Copies the wide addresses of the current snapshot, before those of changed rows are written over them. */
export function copyWideAddresses(current: SnapshotViews, target: SnapshotViews, count: number): void {
  target.wideAddressBytes.set(current.wideAddressBytes.subarray(0, count * WIDE_ADDRESS_BYTES));
}

/** Zeroes the wide addresses of these numbers, which no row has. */
export function clearWideAddresses({ wideAddressBytes }: SnapshotViews, numbers: readonly number[]): void {
  for (const number of numbers) {
    wideAddressBytes.fill(0, number * WIDE_ADDRESS_BYTES, (number + 1) * WIDE_ADDRESS_BYTES);
  }
}

/** Networks that rows are in. */
export function countSeen(networksSeen: Uint8Array): number {
  let seen = 0;
  for (let i = 0; i < networksSeen.length; i++) seen += networksSeen[i]!;
  return seen;
}
