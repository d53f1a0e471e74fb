/**
 * Checks the bytes of a built snapshot before anyone can see it (I5): an independent reading of what the
 * builder wrote. Then gives the snapshot its two digests, of its bytes and of its content, which are taken
 * of the same bytes in the same reading: what a digest stands for has been checked. Throws SNAPSHOT_CORRUPT
 * naming the first thing that is wrong. Every check is linear in the rows.
 */
import { HEADER_WORD } from '../../../native-layout/snapshot-header.ts';
import type { SnapshotViews } from '../../../native-layout/snapshot-views.ts';
import { CacheError } from '../errors.ts';
import type { BuildMemory } from './build-memory.ts';
import { checkCandidateSet } from './candidate-set-check.ts';
import { ContentDigest, ValueHashes } from './content-digest.ts';
import { Digest } from './digest.ts';
import { checkHeader } from './header-check.ts';
import { sameRowId } from './id-index.ts';
import { RowCheck } from './row-check.ts';
import { digestHeader, digestOtherColumns, digestRows, Snapshot } from './snapshot.ts';
import { readDescription, type SnapshotDescription } from './snapshot-description.ts';

/** What a validation notes of every row and entry, so as not to go through the rows again. */
type ValidationMemory = Pick<BuildMemory, 'idHashes' | 'networks' | 'entryHashes'>;

export function validateSnapshot(views: SnapshotViews, memory = memoryFor(views)): Snapshot {
  const snapshot = new Snapshot(views);
  snapshot.takeCounts();
  checkHeader(snapshot);
  const description = readDescription(views);
  checkAttributeCount(description, views);
  const rows = new RowCheck(snapshot, memory);
  const content = new ContentDigest(
    views,
    description.attributes.map(({ values }) => ValueHashes.of(values)),
  );
  const digest = new Digest();
  digestRows(views, digest, (from, to) => {
    rows.check(from, to);
    content.add(from, to);
  });
  rows.finish();
  checkIndex(snapshot, memory);
  checkAttributes(snapshot, description);
  for (const [number, set] of snapshot.sets.entries()) {
    checkCandidateSet(snapshot, set, number, memory.networks);
  }
  content.write(views.header, HEADER_WORD.CONTENT_DIGEST);
  digestOtherColumns(views, digest);
  digestHeader(views, digest);
  digest.write(views.header, HEADER_WORD.DIGEST);
  return snapshot;
}

function memoryFor({ layout: { extents } }: SnapshotViews): ValidationMemory {
  return {
    idHashes: new Uint32Array(extents.rows),
    networks: new Uint32Array(extents.rows),
    entryHashes: new Uint32Array(extents.indexEntries),
  };
}

/**
 * Every row is found under its id: from the entry that its hash says to its own there is no empty entry, and
 * no row with the same id. And no entry is left over.
 */
function checkIndex({ views, indexEntries, rowCount }: Snapshot, memory: ValidationMemory): void {
  const { idIndex } = views;
  const { entryHashes } = memory;
  const mask = indexEntries - 1;
  const start = idIndex.subarray(0, indexEntries).indexOf(0);
  if (start < 0) corrupt('the id index has no empty entry');
  /** Filled entries in all, and before the one at hand without a gap. */
  let filled = 0;
  let run = 0;
  for (let from = 0; from < indexEntries; from += RUN_ENTRIES) {
    const to = Math.min(indexEntries, from + RUN_ENTRIES);
    noteHashes(idIndex, memory, start + from, start + to, mask);
    for (let step = start + from; step < start + to; step++) {
      const entry = step & mask;
      const row = idIndex[entry]! - 1;
      if (row < 0) {
        run = 0;
        continue;
      }
      if (row >= rowCount) corrupt(`the id index has row ${row} of ${rowCount}`);
      const hash = entryHashes[entry]!;
      const distance = (entry - hash) & mask;
      if (distance > run) corrupt(`row ${row} is not found under its id`);
      for (let back = distance; back > 0; back--) {
        const other = (entry - back) & mask;
        if (entryHashes[other] === hash) checkApart(views, row, idIndex[other]! - 1);
      }
      run++;
      filled++;
    }
  }
  if (filled !== rowCount) corrupt(`the id index has ${filled} entries for ${rowCount} rows`);
}

/** Entries whose hashes are fetched at once. */
const RUN_ENTRIES = 256;

/**
 * Notes the hash of each entry, of an empty one that of row 0. Rows are anywhere in memory: without a branch
 * that waits for one of them they come at once.
 */
function noteHashes(
  idIndex: Uint32Array,
  { idHashes, entryHashes }: ValidationMemory,
  from: number,
  to: number,
  mask: number,
): void {
  for (let step = from; step < to; step++) {
    const entry = step & mask;
    const row = (idIndex[entry]! - 1) | 0;
    entryHashes[entry] = idHashes[row & ~(row >> 31)]!;
  }
}

/** Two rows of the same hash are not of the same id, nor one row twice. */
function checkApart({ rowWords }: SnapshotViews, row: number, before: number): void {
  if (sameRowId(rowWords, row, before)) corrupt(`row ${row} is found at row ${before}`);
}

function checkAttributeCount({ attributes }: SnapshotDescription, { attributeCodes }: SnapshotViews): void {
  if (attributes.length === attributeCodes.length) return;
  corrupt(`the description has ${attributes.length} attributes, the header ${attributeCodes.length}`);
}

/** Every attribute code has a value in the description. */
function checkAttributes({ views, rowCount }: Snapshot, { attributes }: SnapshotDescription): void {
  for (const [number, codes] of views.attributeCodes.entries()) {
    const values = attributes[number]!.values.length;
    for (let row = 0; row < rowCount; row++) {
      if (codes[row]! > values) {
        corrupt(`row ${row} has value ${codes[row]} of attribute ${number}, of ${values}`);
      }
    }
  }
}

function corrupt(problem: string): never {
  throw new CacheError('SNAPSHOT_CORRUPT', problem);
}
