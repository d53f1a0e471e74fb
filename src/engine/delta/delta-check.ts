// @hotpath
/**
 * Checks a snapshot that was made by a delta before anyone can see it (I5). Read anew from its bytes:
 * header, every row that changed, every lookup of an id that changed, every entry of the index that may have
 * moved, and all candidate sets. Order and networks of all rows were read back when they were written
 * (`row-copy.ts`), entries were counted (`index-update.ts`).
 *
 * Trusted is that a row which nobody changed is as it was: it was validated in the snapshot that it comes
 * from, whose slot has not been written since (I4), and was copied by the engine's own copy of typed arrays.
 * The entries of its id and its attribute codes likewise.
 */

import { ROW_WORDS } from '../../../native-layout/snapshot-row.ts';
import { CacheError } from '../errors.ts';
import { checkCandidateSet } from '../snapshot/candidate-set-check.ts';
import { checkHeader } from '../snapshot/header-check.ts';
import { findRow, NO_ROW } from '../snapshot/id-index.ts';
import { RowCheck } from '../snapshot/row-check.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { KIND } from './change-resolution.ts';
import type { RowChanges } from './row-copy.ts';
import { TOUCHED_TOGETHER, touchIds, touchRows } from './touch.ts';

/**
 * `networks`: of each row, as they were read back. `valueCounts`: of each attribute. Throws SNAPSHOT_CORRUPT.
 */
export function checkDelta(
  current: Snapshot,
  snapshot: Snapshot,
  change: RowChanges,
  networks: Uint32Array,
  valueCounts: readonly number[],
): void {
  checkHeader(snapshot);
  checkChangedRows(snapshot, change, networks, valueCounts);
  checkLookups(snapshot, change);
  checkNeighbours(current, snapshot, change);
  for (const [number, set] of snapshot.sets.entries()) checkCandidateSet(snapshot, set, number, networks);
}

function checkChangedRows(
  snapshot: Snapshot,
  { edits: { coming, patched, newRows } }: RowChanges,
  networks: Uint32Array,
  valueCounts: readonly number[],
): void {
  const { attributeCodes } = snapshot.views;
  const rows = new RowCheck(snapshot, { networks, idHashes: networks });
  const newRowsOf = (list: Uint32Array) => list.map(change => newRows[change]!);
  const check = (row: number, i: number, all: Uint32Array) => {
    if (i % TOUCHED_TOGETHER === 0) touchRows(snapshot.views, all, i, i + TOUCHED_TOGETHER);
    rows.checkAlone(row);
    for (let i = 0; i < attributeCodes.length; i++) {
      const code = attributeCodes[i]![row]!;
      if (code > valueCounts[i]!)
        fail(`row ${row} has value ${code} of attribute ${i}, of ${valueCounts[i]}`);
    }
  };
  newRowsOf(coming).forEach(check);
  newRowsOf(patched).forEach(check);
}

/** Ids that came or stayed are found at their rows, ids that went are not found. */
function checkLookups(snapshot: Snapshot, { changes, resolved, edits }: RowChanges): void {
  const { views, indexEntries, indexKeys } = snapshot;
  const { words } = changes;
  for (let change = 0; change < resolved.kinds.length; change++) {
    if (change % TOUCHED_TOGETHER === 0) {
      const together = Math.min(TOUCHED_TOGETHER, changes.count - change);
      touchIds(snapshot, words, changes.hashWord(change), changes.stride, together);
    }
    const kind = resolved.kinds[change]!;
    if (kind === KIND.NONE) continue;
    const expected = kind === KIND.REMOVED ? NO_ROW : edits.newRows[change]!;
    const at = changes.idWord(change);
    const found = findRow(views.idIndex, indexEntries, indexKeys, views.rowWords, words, at);
    if (found !== expected) fail(`the id of change ${change} is found at row ${found}, not ${expected}`);
  }
}

/**
 * Where an id went, others have moved up in the index: all that stand where its run of entries was are found
 * at their rows.
 */
function checkNeighbours(current: Snapshot, snapshot: Snapshot, { changes, resolved }: RowChanges): void {
  // An index of another size has been filled anew.
  if (current.indexEntries !== snapshot.indexEntries) return;
  const { views, indexEntries, indexKeys } = snapshot;
  const { idIndex, rowWords } = views;
  const mask = indexEntries - 1;
  for (let change = 0; change < resolved.kinds.length; change++) {
    if (resolved.kinds[change] !== KIND.REMOVED) continue;
    for (
      let entry = changes.hash(change) & mask;
      current.views.idIndex[entry] !== 0;
      entry = (entry + 1) & mask
    ) {
      const row = idIndex[entry]! - 1;
      if (row === NO_ROW) continue;
      const found = findRow(idIndex, indexEntries, indexKeys, rowWords, rowWords, row * ROW_WORDS);
      if (found !== row) fail(`row ${row} is not found under its id`);
    }
  }
}

function fail(problem: string): never {
  throw new CacheError('SNAPSHOT_CORRUPT', problem);
}
