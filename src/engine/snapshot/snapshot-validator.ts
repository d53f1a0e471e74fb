/**
 * Checks the bytes of a built snapshot before anyone can see it (I5): an independent reading of what the
 * builder wrote. Then gives the snapshot its digest, which is taken of the same bytes in the same reading:
 * what a digest stands for has been checked. Throws SNAPSHOT_CORRUPT naming the first thing that is wrong.
 * Every check is linear in the rows.
 */
import { DIGEST_WORDS, HEADER_WORD } from '../../../native-layout/snapshot-header.ts';
import type { SnapshotViews } from '../../../native-layout/snapshot-views.ts';
import { CacheError } from '../errors.ts';
import type { BuildMemory } from './build-memory.ts';
import { checkCandidateSet } from './candidate-set-check.ts';
import { sameRowId } from './id-index.ts';
import { RowCheck } from './row-check.ts';
import { computeDigest, Snapshot } from './snapshot.ts';

/** What a validation notes of every row and entry, so as not to go through the rows again. */
type ValidationMemory = Pick<BuildMemory, 'idHashes' | 'networks' | 'entryHashes'>;

export function validateSnapshot(views: SnapshotViews, memory = memoryFor(views)): Snapshot {
  const snapshot = new Snapshot(views);
  snapshot.takeCounts();
  const rows = new RowCheck(snapshot, memory);
  const digest = new Uint32Array(DIGEST_WORDS);
  computeDigest(views, digest, (from, to) => rows.check(from, to));
  checkIndex(snapshot, memory);
  checkAttributes(snapshot);
  for (const [number, set] of snapshot.sets.entries()) {
    checkCandidateSet(snapshot, set, number, memory.networks);
  }
  views.header.set(digest, HEADER_WORD.DIGEST);
  return snapshot;
}

function memoryFor({ layout: { extents } }: SnapshotViews): ValidationMemory {
  return {
    idHashes: new Uint32Array(extents.rows),
    networks: new Uint32Array(extents.rows),
    entryHashes: new Uint32Array(extents.indexEntries),
  };
}

/** Every row is found under its id, and no entry is left over. Reads the entries in order. */
function checkIndex(snapshot: Snapshot, memory: ValidationMemory): void {
  const { idIndex } = snapshot.views;
  const { indexEntries, rowCount } = snapshot;
  let filled = 0;
  for (let entry = 0; entry < indexEntries; entry++) if (idIndex[entry] !== 0) filled++;
  if (filled !== rowCount) corrupt(`the id index has ${filled} entries for ${rowCount} rows`);
  if (filled === indexEntries) corrupt('the id index has no empty entry');
  checkReach(snapshot, memory);
  checkUnique(snapshot, memory);
}

/** From the entry that a row's hash says to its own there is no empty one. Notes the hash of every entry. */
function checkReach(snapshot: Snapshot, { idHashes, entryHashes }: ValidationMemory): void {
  const { idIndex } = snapshot.views;
  const { indexEntries, rowCount } = snapshot;
  const mask = indexEntries - 1;
  const start = idIndex.indexOf(0);
  /** Filled entries before the one at hand, without a gap. */
  let run = 0;
  for (let step = 0; step < indexEntries; step++) {
    const entry = (start + step) & mask;
    const row = idIndex[entry]! - 1;
    if (row < 0) {
      run = 0;
      continue;
    }
    if (row >= rowCount) corrupt(`the id index has row ${row} of ${rowCount}`);
    const hash = idHashes[row]!;
    entryHashes[entry] = hash;
    if (((entry - hash) & mask) > run) corrupt(`row ${row} is not found under its id`);
    run++;
  }
}

/** In between there is no row with the same id either, nor the same row again. */
function checkUnique({ views, indexEntries }: Snapshot, { entryHashes }: ValidationMemory): void {
  const { idIndex, rowWords } = views;
  const mask = indexEntries - 1;
  for (let entry = 0; entry < indexEntries; entry++) {
    if (idIndex[entry] === 0) continue;
    const hash = entryHashes[entry]!;
    for (let other = hash & mask; other !== entry; other = (other + 1) & mask) {
      if (entryHashes[other] !== hash) continue;
      const [row, before] = [idIndex[entry]! - 1, idIndex[other]! - 1];
      if (sameRowId(rowWords, row, before)) corrupt(`row ${row} is found at row ${before}`);
    }
  }
}

/** Every attribute code has a value in the description. */
function checkAttributes({ views, rowCount }: Snapshot): void {
  const description = descriptionOf(views);
  for (const [number, codes] of views.attributeCodes.entries()) {
    const values = description.attributes[number]?.values.length ?? 0;
    for (let row = 0; row < rowCount; row++) {
      if (codes[row]! > values) {
        corrupt(`row ${row} has value ${codes[row]} of attribute ${number}, of ${values}`);
      }
    }
  }
}

/** What the description says; see `snapshot-finish.ts`. */
function descriptionOf(views: SnapshotViews): SnapshotDescription {
  const bytes = views.description.slice(0, views.header[HEADER_WORD.DESCRIPTION_BYTES]!);
  return JSON.parse(new TextDecoder().decode(bytes)) as SnapshotDescription;
}

interface SnapshotDescription {
  readonly attributes: readonly { readonly values: readonly string[] }[];
}

function corrupt(problem: string): never {
  throw new CacheError('SNAPSHOT_CORRUPT', problem);
}
