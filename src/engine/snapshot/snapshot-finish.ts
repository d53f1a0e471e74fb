/**
 * The end of a build, when the rows stand where they belong: candidate sets, description, header. Pools come
 * in the order vetted, new, ineligible, so that candidates are one run of rows and the members of a network
 * stand together.
 */
import {
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
import type { PrefixBits } from '../address/network-keys.ts';
import { clearLive } from '../live-column.ts';
import type { PlacementPlan, PlannedSet } from '../placement/placement-plan.ts';
import type { ArrangedRows } from './row-arrangement.ts';
import { contentLayout } from './snapshot.ts';
import { describeSnapshot, writeDescription } from './snapshot-description.ts';

/** What the loader knows of a load beside its rows. */
export interface SnapshotStamp {
  readonly generation: number;
  readonly readAtMonotonic: number;
  readonly readAtUnix: number;
}

export interface FinishedRows extends Omit<ArrangedRows, 'idHashes'> {
  readonly indexEntries: number;
  readonly indexSeed: number;
  readonly prefixBits: PrefixBits;
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
  header[HEADER_WORD.NETWORKS_USED] = rows.networksUsed;
  header[HEADER_WORD.INDEX_ENTRIES] = rows.indexEntries;
  header[HEADER_WORD.INDEX_SEED] = rows.indexSeed;
  header[HEADER_WORD.WIDE_ADDRESSES] = rows.wideCount;
  header[HEADER_WORD.ATTRIBUTES] = plan.attributes.length;
  header[HEADER_WORD.SETS] = plan.sets.length;
  views.headerFloats[HEADER_WORD.READ_AT_MONOTONIC / 2] = stamp.readAtMonotonic;
  views.headerFloats[HEADER_WORD.READ_AT_UNIX / 2] = stamp.readAtUnix;
  const description = describeSnapshot(plan, rows.prefixBits, rows.values);
  header[HEADER_WORD.DESCRIPTION_BYTES] = writeDescription(views, description);
  for (let set = 0; set < plan.sets.length; set++) fillSet(views, set, plan.sets[set]!, rows);
  clearPadding(views);
  clearLive(views);
}

/** Fills one candidate set: its positions by pool, their groups, its directory entry. */
function fillSet(views: SnapshotViews, number: number, planned: PlannedSet, rows: FinishedRows): void {
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
  const { groups } = set;
  const { position: start, group: firstGroup } = from;
  if (start >= end) return from;
  // No branch depends on where a group ends, which cannot be foretold: the start of the next one is written
  // at every row, and stands when the next row is of another group.
  let before = keys[start]!;
  let at = firstGroup * GROUP_WORDS;
  groups[at + GROUP_START_WORD] = start;
  for (let position = start; position < end; position++) {
    const key = keys[position]!;
    at += GROUP_WORDS * isOther(key, before);
    groups[at + GROUP_KEY_WORD] = key;
    groups[at + GROUP_WORDS + GROUP_START_WORD] = position + 1;
    before = key;
  }
  return { position: end, group: at / GROUP_WORDS + 1 };
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

/** 1 when the two are different, 0 when they are the same: without a branch, which a comparison becomes. */
function isOther(a: number, b: number): number {
  const difference = a ^ b;
  return (difference | -difference) >>> 31;
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

/** Zeroes the bytes between each column's end and the next boundary: they are part of the digest. */
function clearPadding(views: SnapshotViews): void {
  const bytes = new Uint8Array(views.buffer);
  contentLayout(views.header).columns.forEach((column, i) => {
    const end = views.layout.columns[i]!.byteOffset + column.byteLength;
    bytes.fill(0, end, alignColumn(end));
  });
}
