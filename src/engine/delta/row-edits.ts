// @hotpath
/**
 * Where the rows of the next snapshot come from: runs of rows of the current one, and rows that come between
 * them. Rows stay sorted by (pool, network): a row that comes goes behind the last one of its network in its
 * pool, one of a new network behind all of its pool.
 */
import { POOL_INELIGIBLE, POOL_NEW, POOL_VETTED } from '../../../native-layout/node-record.ts';
import { poolOf, type Snapshot } from '../snapshot/snapshot.ts';
import { CHANGES_MAX, type ChangeList } from './change-list.ts';
import { KIND, type ResolvedChanges } from './change-resolution.ts';

/**
 * Words of a run: its first row and the one after its last in the current snapshot, its first in the next.
 */
export const RUN_WORDS = 3;

export interface RowEdits {
  /** Runs of rows that are copied, in order: RUN_WORDS each. */
  readonly runs: Uint32Array;
  /**
   * Changes whose rows come, in the order of their new rows; and those whose rows stay, patched, likewise.
   */
  readonly coming: Uint32Array;
  readonly patched: Uint32Array;
  /** Old rows, ascending, that go or move. */
  readonly leaving: Uint32Array;
  /** The new row of each change that has one. */
  readonly newRows: Uint32Array;
  readonly rowCount: number;
  readonly vettedCount: number;
  readonly newCount: number;
}

/** Numbers of networks are below it: pool, network and change together are one float, which sorts fast. */
export const NETWORKS_MAX = 2 ** 25;

/** `networks`: of each row of the current snapshot. */
export function planEdits(
  current: Snapshot,
  changes: ChangeList,
  resolved: ResolvedChanges,
  networks: Uint32Array,
): RowEdits {
  const { kinds, oldRows, counts } = resolved;
  const moved = counts[KIND.MOVED]!;
  const leaving = new Uint32Array(counts[KIND.REMOVED]! + moved);
  const comingKeys = new Float64Array(counts[KIND.INSERTED]! + moved);
  const patchedKeys = new Float64Array(counts[KIND.PATCHED]!);
  const poolChanges = new Int32Array(POOL_INELIGIBLE + 1);
  let left = 0;
  let came = 0;
  let patches = 0;
  for (let change = 0; change < kinds.length; change++) {
    const kind = kinds[change]!;
    const row = oldRows[change]!;
    if (kind === KIND.PATCHED) patchedKeys[patches++] = row * CHANGES_MAX + change;
    if (kind === KIND.REMOVED || kind === KIND.MOVED) {
      leaving[left++] = row;
      poolChanges[poolOf(current, row)]!--;
    }
    if (kind === KIND.INSERTED || kind === KIND.MOVED) {
      const pool = changes.pool(change);
      const place = pool * NETWORKS_MAX + resolved.networks[change]!;
      comingKeys[came++] = place * CHANGES_MAX + change;
      poolChanges[pool]!++;
    }
  }
  const coming = inOrder(comingKeys);
  const edits = {
    coming,
    patched: inOrder(patchedKeys),
    leaving: leaving.sort(),
    newRows: new Uint32Array(kinds.length),
    rowCount: current.rowCount - left + came,
    vettedCount: current.vettedCount + poolChanges[POOL_VETTED]!,
    newCount: current.newCount + poolChanges[POOL_NEW]!,
  };
  const points = pointsOf(current, changes, resolved, coming, networks);
  const runs = cutRuns(current.rowCount, edits, points);
  placePatched(edits, oldRows, runs);
  return { ...edits, runs };
}

/** Sorts places, and returns the numbers of their changes. */
function inOrder(keys: Float64Array): Uint32Array {
  return Uint32Array.from(keys.sort(), key => key % CHANGES_MAX);
}

/** For each row that comes the old row that it stands ahead of. */
function pointsOf(
  { rowCount, vettedCount, newCount }: Snapshot,
  changes: ChangeList,
  resolved: ResolvedChanges,
  coming: Uint32Array,
  networks: Uint32Array,
): Uint32Array {
  const points = new Uint32Array(coming.length);
  const ends = [0, vettedCount, vettedCount + newCount, rowCount];
  let low = 0;
  for (let i = 0; i < coming.length; i++) {
    const change = coming[i]!;
    const pool = changes.pool(change);
    const network = resolved.networks[change]!;
    // They come in order: what is ahead of the one before is ahead of this one.
    low = Math.max(low, ends[pool - 1]!);
    let high = ends[pool]!;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (networks[middle]! > network) high = middle;
      else low = middle + 1;
    }
    points[i] = low;
  }
  return points;
}

type PlannedRows = Pick<RowEdits, 'coming' | 'patched' | 'leaving' | 'newRows'>;

/** Cuts the old rows where one leaves or comes; gives those that come their rows. */
function cutRuns(
  oldCount: number,
  { coming, leaving, newRows }: PlannedRows,
  points: Uint32Array,
): Uint32Array {
  const runs = new Uint32Array(RUN_WORDS * (coming.length + leaving.length + 1));
  let words = 0;
  let oldRow = 0;
  let newRow = 0;
  let came = 0;
  let left = 0;
  for (;;) {
    const point = came < points.length ? points[came]! : oldCount;
    const leaver = left < leaving.length ? leaving[left]! : oldCount;
    const end = Math.min(point, leaver);
    if (end > oldRow) {
      runs[words] = oldRow;
      runs[words + 1] = end;
      runs[words + 2] = newRow;
      words += RUN_WORDS;
      newRow += end - oldRow;
      oldRow = end;
    }
    if (came < points.length && point === oldRow) newRows[coming[came++]!] = newRow++;
    else if (left < leaving.length) {
      oldRow++;
      left++;
    } else break;
  }
  return runs.subarray(0, words);
}

/** Gives patched rows, each of which is in some run, their new rows. */
function placePatched({ patched, newRows }: PlannedRows, oldRows: Int32Array, runs: Uint32Array): void {
  let run = 0;
  for (let i = 0; i < patched.length; i++) {
    const change = patched[i]!;
    const row = oldRows[change]!;
    while (runs[run + 1]! <= row) run += RUN_WORDS;
    newRows[change] = row - runs[run]! + runs[run + 2]!;
  }
}
