/**
 * One snapshot as its readers and its builder see it: views over its bytes, and the counts of its header as
 * plain numbers. A reader takes the counts anew whenever it leases the slot; between two leases they cannot
 * change.
 */
import { POOL_INELIGIBLE, POOL_NEW, POOL_VETTED } from '../../../native-layout/node-record.ts';
import {
  DIGEST_WORDS,
  HEADER_WORD,
  HEADER_WORDS,
  SET_WORD,
  SETS_MAX,
  setEntryWord,
} from '../../../native-layout/snapshot-header.ts';
import { alignColumn, type SnapshotLayout, snapshotLayout } from '../../../native-layout/snapshot-layout.ts';
import { ROW_WORDS } from '../../../native-layout/snapshot-row.ts';
import {
  extentsOf,
  headerProblem,
  type SnapshotViews,
  snapshotViews,
} from '../../../native-layout/snapshot-views.ts';
import { assert } from '../assert.ts';
import { CacheError } from '../errors.ts';
import { Digest } from './digest.ts';
import { indexKeys } from './id-index.ts';

export interface CandidateSet {
  rows: Uint32Array;
  /** First position and key of each group, by turns; then the closing pair. */
  groups: Uint32Array;
  identity: boolean;
  vettedPositions: number;
  newPositions: number;
  vettedGroups: number;
  newGroups: number;
}

export class Snapshot {
  readonly views: SnapshotViews;
  readonly sets: CandidateSet[];
  generation = 0;
  rowCount = 0;
  vettedCount = 0;
  newCount = 0;
  /** What network numbers are below, and how many of them have rows. */
  networkCount = 0;
  networksUsed = 0;
  indexEntries = 0;
  /** Keys of the id index's hash. */
  indexKeys: Int32Array = indexKeys(0);
  /** When the read began, milliseconds on the machine's monotonic clock. */
  readAtMonotonic = 0;
  readAtUnix = 0;

  constructor(views: SnapshotViews) {
    this.views = views;
    this.sets = views.sets.map(set => ({
      ...set,
      identity: false,
      vettedPositions: 0,
      newPositions: 0,
      vettedGroups: 0,
      newGroups: 0,
    }));
  }

  /** Takes the header's counts. Asserts that they fit the slot: a mix-up here must never reach a pick. */
  takeCounts(): void {
    const { header, headerFloats, layout } = this.views;
    this.generation = header[HEADER_WORD.GENERATION]!;
    this.rowCount = header[HEADER_WORD.ROWS]!;
    this.vettedCount = header[HEADER_WORD.VETTED]!;
    this.newCount = header[HEADER_WORD.NEW]!;
    this.networkCount = header[HEADER_WORD.NETWORKS]!;
    this.networksUsed = header[HEADER_WORD.NETWORKS_USED]!;
    this.indexEntries = header[HEADER_WORD.INDEX_ENTRIES]!;
    this.indexKeys = indexKeys(header[HEADER_WORD.INDEX_SEED]!);
    this.readAtMonotonic = headerFloats[HEADER_WORD.READ_AT_MONOTONIC / 2]!;
    this.readAtUnix = headerFloats[HEADER_WORD.READ_AT_UNIX / 2]!;
    assert(this.generation !== 0, 'a published snapshot has a generation');
    assert(this.rowCount <= layout.extents.rows, () => `${this.rowCount} rows in ${layout.extents.rows}`);
    assert(
      this.networkCount <= layout.extents.networks,
      () => `${this.networkCount} networks in ${layout.extents.networks}`,
    );
    assert(this.vettedCount + this.newCount <= this.rowCount, 'pools are not larger than the snapshot');
    for (let i = 0; i < this.sets.length; i++) {
      const set = this.sets[i]!;
      const entry = setEntryWord(i);
      set.identity = header[entry + SET_WORD.IDENTITY] === 1;
      set.vettedPositions = header[entry + SET_WORD.VETTED_POSITIONS]!;
      set.newPositions = header[entry + SET_WORD.NEW_POSITIONS]!;
      set.vettedGroups = header[entry + SET_WORD.VETTED_GROUPS]!;
      set.newGroups = header[entry + SET_WORD.NEW_GROUPS]!;
    }
  }
}

/** POOL_VETTED, POOL_NEW or POOL_INELIGIBLE: the pool that `row` is in. */
export function poolOf({ vettedCount, newCount }: Snapshot, row: number): number {
  if (row < vettedCount) return POOL_VETTED;
  return row < vettedCount + newCount ? POOL_NEW : POOL_INELIGIBLE;
}

/**
 * The exact layout of the content: what a file of it looks like. Throws SNAPSHOT_CORRUPT on impossible
 * counts.
 */
export function contentLayout(header: Uint32Array): SnapshotLayout {
  const problem = headerProblem(header);
  if (problem !== undefined) throw new CacheError('LAYOUT_MISMATCH', problem);
  if (header[HEADER_WORD.SETS]! > SETS_MAX) {
    throw new CacheError('SNAPSHOT_CORRUPT', `the header counts ${header[HEADER_WORD.SETS]} candidate sets`);
  }
  try {
    return snapshotLayout(extentsOf(header));
  } catch (cause) {
    throw new CacheError('SNAPSHOT_CORRUPT', `the header's counts are impossible`, { cause });
  }
}

/** Rows between two calls of `rowsRead`: a page of memory, which is then in the nearest cache. */
const PAGE_ROWS = 64;

/** Writes to `out` the digest of everything in the snapshot but the digest's own words. Four words. */
export function computeDigest(views: SnapshotViews, out: Uint32Array): void {
  const digest = new Digest();
  digestRows(views, digest, () => undefined);
  digestOtherColumns(views, digest);
  digestHeader(views, digest);
  digest.write(out, 0);
}

/** The digest's first part. Calls `rowsRead` with each run of rows that it has just read. */
export function digestRows(
  { header, rowWords }: SnapshotViews,
  digest: Digest,
  rowsRead: (from: number, to: number) => void,
): void {
  const rows = header[HEADER_WORD.ROWS]!;
  for (let from = 0; from < rows; from += PAGE_ROWS) {
    const to = Math.min(rows, from + PAGE_ROWS);
    digest.update(rowWords, from * ROW_WORDS, (to - from) * ROW_WORDS);
    rowsRead(from, to);
  }
}

/** Its second part. */
export function digestOtherColumns({ header, layout, buffer }: SnapshotViews, digest: Digest): void {
  const content = contentLayout(header);
  const words = new Uint32Array(buffer, 0, layout.byteLength / 4);
  content.columns.forEach((column, i) => {
    if (column === content.row) return;
    const place = layout.columns[i]!;
    digest.update(words, place.byteOffset / 4, alignColumn(column.byteLength) / 4);
  });
}

/** Its last part: what the header says may be found while the columns are read. */
export function digestHeader({ header }: SnapshotViews, digest: Digest): void {
  const afterDigest = HEADER_WORD.DIGEST + DIGEST_WORDS;
  digest.update(header, 0, HEADER_WORD.DIGEST);
  digest.update(header, afterDigest, HEADER_WORDS - afterDigest);
}

/** True when the digest in the header is that of the content. */
export function digestMatches(views: SnapshotViews): boolean {
  const digest = new Uint32Array(DIGEST_WORDS);
  computeDigest(views, digest);
  return digest.every((word, i) => word === views.header[HEADER_WORD.DIGEST + i]);
}

/** The content without the slack of its slot, in fresh private memory: the bytes of a snapshot file. */
export function packSnapshot(views: SnapshotViews): Uint8Array<ArrayBuffer> {
  const content = contentLayout(views.header);
  const packed = new Uint8Array(content.byteLength);
  const source = new Uint8Array(views.buffer);
  packed.set(source.subarray(0, HEADER_WORDS * 4));
  content.columns.forEach((column, i) => {
    const from = views.layout.columns[i]!.byteOffset;
    packed.set(source.subarray(from, from + alignColumn(column.byteLength)), column.byteOffset);
  });
  return packed;
}

/**
 * Opens packed bytes: checks magic, version, length and digest. Throws LAYOUT_MISMATCH or SNAPSHOT_CORRUPT.
 */
export function openPackedSnapshot(packed: Uint8Array<ArrayBuffer>): Snapshot {
  if (packed.byteLength < HEADER_WORDS * 4) {
    throw new CacheError('SNAPSHOT_CORRUPT', `${packed.byteLength} bytes are too few for a header`);
  }
  const buffer =
    packed.byteOffset === 0 && packed.byteLength === packed.buffer.byteLength
      ? packed.buffer
      : packed.slice().buffer;
  const layout = contentLayout(new Uint32Array(buffer, 0, HEADER_WORDS));
  if (layout.byteLength !== buffer.byteLength) {
    throw new CacheError(
      'SNAPSHOT_CORRUPT',
      `the header's counts amount to ${layout.byteLength} bytes; there are ${buffer.byteLength}`,
    );
  }
  const views = snapshotViews(buffer, layout);
  if (!digestMatches(views))
    throw new CacheError('SNAPSHOT_CORRUPT', 'the digest does not match the content');
  checkPacked(views);
  const snapshot = new Snapshot(views);
  snapshot.takeCounts();
  return snapshot;
}

/** Milliseconds that are a date, on either side of zero. */
const DATE_MS_MAX = 8.64e15;

/**
 * Whoever makes up a header can make the digest fit it: what `takeCounts` asserts is an error of the bytes
 * here, and so is a moment of the read that is none.
 */
function checkPacked({ header, headerFloats }: SnapshotViews): void {
  const word = (name: keyof typeof HEADER_WORD) => header[HEADER_WORD[name]]!;
  for (const name of ['READ_AT_MONOTONIC', 'READ_AT_UNIX'] as const) {
    const readAt = headerFloats[HEADER_WORD[name] / 2]!;
    if (Math.abs(readAt) <= DATE_MS_MAX) continue;
    throw new CacheError('SNAPSHOT_CORRUPT', `the clock reading ${name} of the header is ${readAt} ms`);
  }
  if (word('GENERATION') === 0) throw new CacheError('SNAPSHOT_CORRUPT', 'the header has generation 0');
  if (word('VETTED') + word('NEW') <= word('ROWS')) return;
  const pools = `${word('VETTED')} vetted and ${word('NEW')} new rows`;
  throw new CacheError('SNAPSHOT_CORRUPT', `the header counts ${pools} among ${word('ROWS')}`);
}
