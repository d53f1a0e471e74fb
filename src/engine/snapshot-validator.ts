/**
 * Checks the bytes of a built snapshot before anyone can see it (I5): an independent reading of what the builder wrote.
 * Throws SNAPSHOT_CORRUPT naming the first thing that is wrong. Every check is linear in the rows.
 */
import { CELL_BYTES, CELL_PORT_BYTE, CELL_TEXT_LENGTH_BYTE } from '../../native-layout/address-cell.ts';
import type { SnapshotViews } from '../../native-layout/snapshot-views.ts';
import { CacheError } from './errors.ts';
import { findRow } from './id-index.ts';
import { ID_WORDS } from './node-id.ts';
import { type CandidateSet, digestMatches, Snapshot } from './snapshot.ts';

export function validateSnapshot(views: SnapshotViews): Snapshot {
  check(digestMatches(views), 'the digest does not match the content');
  const snapshot = new Snapshot(views);
  snapshot.takeCounts();
  checkIndex(snapshot);
  checkCells(snapshot);
  for (const [number, set] of snapshot.sets.entries()) checkSet(snapshot, set, number);
  return snapshot;
}

/** Every row is found under its id, and no entry is left over. */
function checkIndex(snapshot: Snapshot): void {
  const { idIndex, idWords } = snapshot.views;
  const { indexEntries, indexSeed, rowCount } = snapshot;
  let filled = 0;
  for (let entry = 0; entry < indexEntries; entry++) if (idIndex[entry] !== 0) filled++;
  check(filled === rowCount, `the id index has ${filled} entries for ${rowCount} rows`);
  for (let row = 0; row < rowCount; row++) {
    const found = findRow(idIndex, indexEntries, indexSeed, idWords, idWords, row * ID_WORDS);
    check(found === row, `row ${row} is found at row ${found}`);
  }
}

function checkCells(snapshot: Snapshot): void {
  const { cellBytes, cellWords, layout, networks } = snapshot.views;
  for (let row = 0; row < snapshot.rowCount; row++) {
    const cell = row * CELL_BYTES;
    const port = cellBytes[cell + CELL_PORT_BYTE]! | (cellBytes[cell + CELL_PORT_BYTE + 1]! << 8);
    check(port !== 0, `row ${row} has port 0`);
    check(networks[row]! < snapshot.networkCount, `row ${row} is in network ${networks[row]}`);
    if (cellBytes[cell + CELL_TEXT_LENGTH_BYTE] === 0) {
      check(cellWords[cell / 4]! < layout.extents.wideAddresses, `row ${row} has no wide address`);
    }
  }
}

/** Positions are rows of the right pool; groups are runs of one key, in order, without a gap, no key twice a pool. */
function checkSet(snapshot: Snapshot, set: CandidateSet, number: number): void {
  const positions = set.vettedPositions + set.newPositions;
  const eligible = snapshot.vettedCount + snapshot.newCount;
  check(positions <= eligible, `set ${number} has ${positions} positions of ${eligible} rows`);
  check(!set.identity || positions === eligible, `set ${number} is an identity of ${positions} positions`);
  for (let position = 0; position < positions && !set.identity; position++) {
    const row = set.rows[position]!;
    const inPool = position < set.vettedPositions ? row < snapshot.vettedCount : row >= snapshot.vettedCount;
    check(inPool && row < eligible, `set ${number} has row ${row} at position ${position}`);
  }
  checkGroups(set, number, 0, set.vettedGroups, set.vettedPositions);
  checkGroups(set, number, set.vettedGroups, set.vettedGroups + set.newGroups, positions);
}

function checkGroups(set: CandidateSet, number: number, from: number, to: number, endPosition: number): void {
  const seen = new Set<number>();
  for (let group = from; group < to; group++) {
    check(set.groupStarts[group]! < set.groupStarts[group + 1]!, `set ${number}: group ${group} is empty`);
    check(!seen.has(set.groupKeys[group]!), `set ${number}: key ${set.groupKeys[group]} has two groups`);
    seen.add(set.groupKeys[group]!);
  }
  const end = set.groupStarts[to];
  check(end === endPosition, `set ${number}: groups end at ${end}, positions at ${endPosition}`);
}

function check(condition: boolean, problem: string): void {
  if (!condition) throw new CacheError('SNAPSHOT_CORRUPT', problem);
}
