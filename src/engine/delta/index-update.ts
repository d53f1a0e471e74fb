// @hotpath
/**
 * The id index of the next snapshot: that of the current one with every row's new number, without the ids
 * that go, with those that come. An id that stays keeps its entry, wherever its row goes. Where the number
 * of entries changes, the index is filled anew.
 */
import { indexEntriesFor } from '../../../native-layout/snapshot-header.ts';
import { ROW_WORDS } from '../../../native-layout/snapshot-row.ts';
import type { SnapshotViews } from '../../../native-layout/snapshot-views.ts';
import { CacheError } from '../errors.ts';
import { fillIndex, hashNodeId, hashRows } from '../snapshot/id-index.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { KIND } from './change-resolution.ts';
import type { RowChanges } from './row-copy.ts';
import { RUN_WORDS } from './row-edits.ts';
import { TOUCHED_TOGETHER, touchEntries, touchWords } from './touch.ts';

/** Entries that are fetched ahead: a page of memory. */
const PAGE_ENTRIES = 1024;
/** In an entry, while the index is made: the id goes; then the number of its change. */
const GOING = 0x8000_0000;

/** Private memory that an index is made in. */
export interface IndexMemory {
  /** One more than rows of either snapshot. */
  readonly newEntries: Uint32Array;
  /** One for each row. */
  readonly idHashes: Uint32Array;
}

/** Writes the index of `target`, whose rows stand. Throws SNAPSHOT_CORRUPT when an id comes twice. */
export function updateIndex(
  current: Snapshot,
  target: SnapshotViews,
  change: RowChanges,
  memory: IndexMemory,
): void {
  const { changes, edits, resolved } = change;
  const entries = indexEntriesFor(edits.rowCount);
  const index = target.idIndex.subarray(0, entries);
  if (entries !== current.indexEntries) {
    refill(current, target, index, edits.rowCount, memory);
    return;
  }
  if (edits.coming.length === 0 && edits.leaving.length === 0) {
    index.set(current.views.idIndex.subarray(0, entries));
    return;
  }
  const { newEntries } = memory;
  noteNewEntries(change, newEntries);
  const filled = renumber(current.views.idIndex, index, newEntries);
  if (filled !== current.rowCount) corrupt(`${filled} entries for ${current.rowCount} rows`);
  const update = new IndexUpdate(index, current.indexKeys, target, change);
  for (let i = 0; i < resolved.kinds.length; i++) {
    if (i % TOUCHED_TOGETHER === 0) {
      const together = Math.min(TOUCHED_TOGETHER, changes.count - i);
      touchEntries(index, changes.words, changes.hashWord(i), changes.stride, together);
    }
    if (resolved.kinds[i] === KIND.REMOVED) update.remove(i);
  }
  for (let i = 0; i < resolved.kinds.length; i++) if (resolved.kinds[i] === KIND.INSERTED) update.insert(i);
}

function refill(
  { indexKeys }: Snapshot,
  { rowWords }: SnapshotViews,
  index: Uint32Array,
  rowCount: number,
  { idHashes }: IndexMemory,
): void {
  index.fill(0);
  hashRows(rowWords, 0, rowCount, indexKeys, idHashes);
  if (fillIndex(index, index.length, idHashes, rowWords, rowCount)) return;
  corrupt('an id comes twice');
}

/** For each entry of the current index, which is a row plus one, what it is in the next. */
function noteNewEntries({ edits, resolved }: RowChanges, newEntries: Uint32Array): void {
  const { runs, newRows } = edits;
  newEntries[0] = 0;
  for (let run = 0; run < runs.length; run += RUN_WORDS) {
    const end = runs[run + 1]!;
    for (let row = runs[run]!, entry = runs[run + 2]! + 1; row < end; row++, entry++)
      newEntries[row + 1] = entry;
  }
  const { kinds, oldRows } = resolved;
  for (let change = 0; change < kinds.length; change++) {
    const kind = kinds[change]!;
    if (kind === KIND.MOVED) newEntries[oldRows[change]! + 1] = newRows[change]! + 1;
    if (kind === KIND.REMOVED) newEntries[oldRows[change]! + 1] = GOING + change;
  }
}

/** Writes what each entry of `from` is in the next index to `to`; returns how many are not empty. */
function renumber(from: Uint32Array, to: Uint32Array, newEntries: Uint32Array): number {
  let empty = 0;
  for (let first = 0; first < to.length; first += PAGE_ENTRIES) {
    const end = Math.min(to.length, first + PAGE_ENTRIES);
    touchWords(from, first, end);
    for (let i = first; i < end; i++) {
      const entry = from[i]!;
      to[i] = newEntries[entry]!;
      // 1 where there is none: half of them are, and no branch could foretell which (18 ms against 7).
      empty += (entry - 1) >>> 31;
    }
  }
  return to.length - empty;
}

class IndexUpdate {
  readonly #index: Uint32Array;
  readonly #mask: number;
  readonly #keys: Int32Array;
  readonly #rowWords: Uint32Array;
  readonly #change: RowChanges;

  constructor(index: Uint32Array, keys: Int32Array, { rowWords }: SnapshotViews, change: RowChanges) {
    this.#index = index;
    this.#mask = index.length - 1;
    this.#keys = keys;
    this.#rowWords = rowWords;
    this.#change = change;
  }

  insert(change: number): void {
    const index = this.#index;
    let entry = this.#change.changes.hash(change) & this.#mask;
    while (index[entry] !== 0) entry = (entry + 1) & this.#mask;
    index[entry] = this.#change.edits.newRows[change]! + 1;
  }

  /**
   * Takes the entry of an id that goes out, and moves those up that would not be found behind an empty one.
   */
  remove(change: number): void {
    const index = this.#index;
    const mask = this.#mask;
    let hole = this.#change.changes.hash(change) & mask;
    while (index[hole] !== GOING + change) {
      if (index[hole] === 0) corrupt('an id that goes is not in the index');
      hole = (hole + 1) & mask;
    }
    for (let entry = (hole + 1) & mask; index[entry] !== 0; entry = (entry + 1) & mask) {
      const home = this.#hashOf(index[entry]!) & mask;
      if (((entry - home) & mask) < ((entry - hole) & mask)) continue;
      index[hole] = index[entry]!;
      hole = entry;
    }
    index[hole] = 0;
  }

  #hashOf(value: number): number {
    if (value >= GOING) return this.#change.changes.hash(value - GOING);
    return hashNodeId(this.#rowWords, (value - 1) * ROW_WORDS, this.#keys);
  }
}

function corrupt(problem: string): never {
  throw new CacheError('SNAPSHOT_CORRUPT', problem);
}
