/**
 * The end of a build, when the rows stand where they belong: candidate sets, description, header. Pools come
 * in the order vetted, new, ineligible, so that candidates are one run of rows and the members of a network
 * stand together.
 */
import {
  DESCRIPTION_BYTES_MAX,
  HEADER_WORD,
  LAYOUT_VERSION,
  SET_WORD,
  SNAPSHOT_MAGIC,
  setEntryWord,
} from '../../../native-layout/snapshot-header.ts';
import {
  alignColumn,
  GROUP_KEY_WORD,
  GROUP_START_WORD,
  GROUP_WORDS,
} from '../../../native-layout/snapshot-layout.ts';
import type { SetViews, SnapshotViews } from '../../../native-layout/snapshot-views.ts';
import { CacheError } from '../errors.ts';
import type { PlacementPlan, PlannedSet } from '../placement/placement-plan.ts';
import type { ArrangedRows } from './row-arrangement.ts';
import { contentLayout } from './snapshot.ts';

/** What the loader knows of a load beside its rows. */
export interface SnapshotStamp {
  readonly generation: number;
  readonly readAtMonotonic: number;
  readonly readAtUnix: number;
}

export interface FinishedRows extends ArrangedRows {
  readonly indexEntries: number;
  readonly indexSeed: number;
  /** Values of each attribute, in the order of their codes. */
  readonly values: readonly (readonly string[])[];
}

export function finishSnapshot(
  views: SnapshotViews,
  plan: PlacementPlan,
  stamp: SnapshotStamp,
  rows: FinishedRows,
): void {
  const { header } = views;
  header.fill(0);
  header[HEADER_WORD.MAGIC] = SNAPSHOT_MAGIC;
  header[HEADER_WORD.VERSION] = LAYOUT_VERSION;
  header[HEADER_WORD.GENERATION] = stamp.generation;
  header[HEADER_WORD.ROWS] = rows.count;
  header[HEADER_WORD.VETTED] = rows.vettedCount;
  header[HEADER_WORD.NEW] = rows.newCount;
  header[HEADER_WORD.NETWORKS] = rows.networkCount;
  header[HEADER_WORD.INDEX_ENTRIES] = rows.indexEntries;
  header[HEADER_WORD.INDEX_SEED] = rows.indexSeed;
  header[HEADER_WORD.WIDE_ADDRESSES] = rows.wideCount;
  header[HEADER_WORD.ATTRIBUTES] = plan.attributes.length;
  header[HEADER_WORD.SETS] = plan.sets.length;
  views.headerFloats[HEADER_WORD.READ_AT_MONOTONIC / 2] = stamp.readAtMonotonic;
  views.headerFloats[HEADER_WORD.READ_AT_UNIX / 2] = stamp.readAtUnix;
  header[HEADER_WORD.DESCRIPTION_BYTES] = writeDescription(views, plan, rows.values);
  for (let set = 0; set < plan.sets.length; set++) fillSet(views, set, plan.sets[set]!, rows);
  clearPadding(views);
}

/** Fills one candidate set: its positions by pool, their groups, its directory entry. */
function fillSet(views: SnapshotViews, number: number, planned: PlannedSet, rows: ArrangedRows): void {
  const set = views.sets[number]!;
  const { vettedCount, newCount } = rows;
  const { attribute } = planned;
  const byNetwork = attribute === undefined;
  const identity = planned.filter === 0 && byNetwork;
  const keys = byNetwork ? rows.networks : views.attributeCodes[attribute]!;
  const fill = (from: FillPoint, first: number, end: number): FillPoint => {
    if (identity) return groupRows(set, from, keys, end);
    const listed = candidates(rows.passes, planned.filter, first, end);
    return listRows(set, from, keys, byNetwork ? listed : sortedByKey(listed, keys));
  };
  const vetted = fill({ position: 0, group: 0 }, 0, vettedCount);
  const all = fill(vetted, vettedCount, vettedCount + newCount);
  writeGroup(set, all.group, all.position, 0);
  const entry = setEntryWord(number);
  views.header[entry + SET_WORD.GROUPING] = attribute === undefined ? 0 : attribute + 1;
  views.header[entry + SET_WORD.IDENTITY] = identity ? 1 : 0;
  views.header[entry + SET_WORD.VETTED_POSITIONS] = vetted.position;
  views.header[entry + SET_WORD.NEW_POSITIONS] = all.position - vetted.position;
  views.header[entry + SET_WORD.VETTED_GROUPS] = vetted.group;
  views.header[entry + SET_WORD.NEW_GROUPS] = all.group - vetted.group;
}

/** The rows from `from` to `to` that the filter lets pass, in order. */
function candidates(passes: Uint32Array, filter: number, from: number, to: number): Uint32Array {
  const rows = new Uint32Array(to - from);
  if (filter === 0) return rows.map((_, i) => from + i);
  let count = 0;
  for (let row = from; row < to; row++) if ((passes[row]! >>> filter) & 1) rows[count++] = row;
  return rows.subarray(0, count);
}

interface FillPoint {
  readonly position: number;
  readonly group: number;
}

/** Appends the rows up to `end`, one after the other, to an identity set. */
function groupRows(set: SetViews, from: FillPoint, keys: Uint32Array | Uint16Array, end: number): FillPoint {
  let { position, group } = from;
  for (let first = true; position < end; position++, first = false) {
    const key = keys[position]!;
    if (first || key !== keys[position - 1]) writeGroup(set, group++, position, key);
  }
  return { position, group };
}

/** Appends one pool's candidates, which stand in runs of equal keys, to the set. */
function listRows(
  set: SetViews,
  from: FillPoint,
  keys: Uint32Array | Uint16Array,
  rows: Uint32Array,
): FillPoint {
  let { position, group } = from;
  let before = -1;
  for (let i = 0; i < rows.length; i++, position++) {
    const row = rows[i]!;
    const key = keys[row]!;
    if (key !== before) writeGroup(set, group++, position, key);
    set.rows[position] = row;
    before = key;
  }
  return { position, group };
}

function writeGroup({ groups }: SetViews, group: number, start: number, key: number): void {
  groups[group * GROUP_WORDS + GROUP_START_WORD] = start;
  groups[group * GROUP_WORDS + GROUP_KEY_WORD] = key;
}

function sortedByKey(rows: Uint32Array, keys: Uint32Array | Uint16Array): Uint32Array {
  let largest = 0;
  for (let i = 0; i < rows.length; i++) largest = Math.max(largest, keys[rows[i]!]!);
  const starts = new Uint32Array(largest + 2);
  for (let i = 0; i < rows.length; i++) starts[keys[rows[i]!]! + 1]!++;
  for (let i = 1; i < starts.length; i++) starts[i]! += starts[i - 1]!;
  const sorted = new Uint32Array(rows.length);
  for (let i = 0; i < rows.length; i++) sorted[starts[keys[rows[i]!]!]!++] = rows[i]!;
  return sorted;
}

/** What the numbers in the columns stand for, as JSON: attribute names and values, and the candidate sets. */
function writeDescription(
  views: SnapshotViews,
  plan: PlacementPlan,
  values: readonly (readonly string[])[],
): number {
  const text = JSON.stringify({
    attributes: plan.attributes.map((name, i) => ({ name, values: values[i] })),
    placements: [...plan.placements.keys()],
    sets: plan.sets.map(set => ({
      filter: set.filter,
      grouping: set.attribute === undefined ? 'network' : plan.attributes[set.attribute],
    })),
  });
  const bytes = new TextEncoder().encode(text);
  if (bytes.length > DESCRIPTION_BYTES_MAX) {
    throw new CacheError(
      'CAPACITY_EXCEEDED',
      `the attribute values take ${bytes.length} bytes; the limit is ${DESCRIPTION_BYTES_MAX}`,
    );
  }
  views.description.set(bytes);
  return bytes.length;
}

/** Zeroes the bytes between each column's end and the next boundary: they are part of the digest. */
function clearPadding(views: SnapshotViews): void {
  const bytes = new Uint8Array(views.buffer);
  contentLayout(views.header).columns.forEach((column, i) => {
    const end = views.layout.columns[i]!.byteOffset + column.byteLength;
    bytes.fill(0, end, alignColumn(end));
  });
}
