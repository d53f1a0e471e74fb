/**
 * The end of a build: rows sorted by (pool, network), candidate sets, description, header, digest. Pools come
 * in the order vetted, new, ineligible, so that candidates are one run of rows and the members of a network
 * stand together.
 */
import { POOL_INELIGIBLE, POOL_NEW, POOL_VETTED } from '../../../native-layout/node-record.ts';
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
import { ROW_NETWORK_WORD, ROW_WORDS } from '../../../native-layout/snapshot-row.ts';
import type { SetViews, SnapshotViews } from '../../../native-layout/snapshot-views.ts';
import { CacheError } from '../errors.ts';
import type { PlacementPlan, PlannedSet } from '../placement/placement-plan.ts';
import { computeDigest, contentLayout } from './snapshot.ts';

/** What the loader knows of a load beside its rows. */
export interface SnapshotStamp {
  readonly generation: number;
  readonly readAtMonotonic: number;
  readonly readAtUnix: number;
}

export interface UnsortedRows {
  readonly rows: number;
  readonly wideAddresses: number;
  readonly networks: number;
  readonly indexEntries: number;
  readonly indexSeed: number;
  readonly pools: Uint8Array;
  readonly passes: Uint32Array;
  readonly dictionaries: readonly ReadonlyMap<string, number>[];
}

export function finishSnapshot(
  views: SnapshotViews,
  plan: PlacementPlan,
  stamp: SnapshotStamp,
  unsorted: UnsortedRows,
): void {
  const { header } = views;
  const count = unsorted.rows;
  const target = sortedPositions(networksOf(views, count), unsorted);
  permuteRows(views, target, count, unsorted.indexEntries);
  const passes = permuted(unsorted.passes, target, count);
  const pools = countPools(unsorted.pools, count);

  header.fill(0);
  header[HEADER_WORD.MAGIC] = SNAPSHOT_MAGIC;
  header[HEADER_WORD.VERSION] = LAYOUT_VERSION;
  header[HEADER_WORD.GENERATION] = stamp.generation;
  header[HEADER_WORD.ROWS] = count;
  header[HEADER_WORD.VETTED] = pools.vetted;
  header[HEADER_WORD.NEW] = pools.new;
  header[HEADER_WORD.NETWORKS] = unsorted.networks;
  header[HEADER_WORD.INDEX_ENTRIES] = unsorted.indexEntries;
  header[HEADER_WORD.INDEX_SEED] = unsorted.indexSeed;
  header[HEADER_WORD.WIDE_ADDRESSES] = unsorted.wideAddresses;
  header[HEADER_WORD.ATTRIBUTES] = plan.attributes.length;
  header[HEADER_WORD.SETS] = plan.sets.length;
  views.headerFloats[HEADER_WORD.READ_AT_MONOTONIC / 2] = stamp.readAtMonotonic;
  views.headerFloats[HEADER_WORD.READ_AT_UNIX / 2] = stamp.readAtUnix;
  header[HEADER_WORD.DESCRIPTION_BYTES] = writeDescription(views, plan, unsorted.dictionaries);
  const networks = networksOf(views, count);
  for (let set = 0; set < plan.sets.length; set++) {
    const planned = plan.sets[set]!;
    const keys = planned.attribute === undefined ? networks : views.attributeCodes[planned.attribute]!;
    fillSet(views, set, planned, keys, passes, pools);
  }
  clearPadding(views);
  computeDigest(views, header.subarray(HEADER_WORD.DIGEST));
}

/** The network of each row, as a column of its own: what is sorted by is read often. */
function networksOf({ rowWords }: SnapshotViews, count: number): Uint32Array {
  const networks = new Uint32Array(count);
  for (let row = 0; row < count; row++) networks[row] = rowWords[row * ROW_WORDS + ROW_NETWORK_WORD]!;
  return networks;
}

/** Where each row goes: a counting sort by (pool, network), stable. */
function sortedPositions(networks: Uint32Array, unsorted: UnsortedRows): Uint32Array {
  const { rows, pools, networks: networkCount } = unsorted;
  const starts = new Uint32Array(POOL_INELIGIBLE * networkCount + 1);
  const bucket = (row: number) => (pools[row]! - POOL_VETTED) * networkCount + networks[row]!;
  for (let row = 0; row < rows; row++) starts[bucket(row) + 1]!++;
  for (let i = 1; i < starts.length; i++) starts[i]! += starts[i - 1]!;
  const target = new Uint32Array(rows);
  for (let row = 0; row < rows; row++) target[row] = starts[bucket(row)]!++;
  return target;
}

function permuteRows(views: SnapshotViews, target: Uint32Array, count: number, indexEntries: number): void {
  permuteWords(views.rowWords, ROW_WORDS, target, count);
  for (const codes of views.attributeCodes) {
    const before = codes.slice(0, count);
    for (let row = 0; row < count; row++) codes[target[row]!] = before[row]!;
  }
  const { idIndex } = views;
  for (let entry = 0; entry < indexEntries; entry++) {
    const value = idIndex[entry]!;
    if (value !== 0) idIndex[entry] = target[value - 1]! + 1;
  }
}

function permuteWords(words: Uint32Array, stride: number, target: Uint32Array, count: number): void {
  const before = words.slice(0, count * stride);
  for (let row = 0; row < count; row++) {
    const to = target[row]! * stride;
    const from = row * stride;
    for (let i = 0; i < stride; i++) words[to + i] = before[from + i]!;
  }
}

function permuted(values: Uint32Array, target: Uint32Array, count: number): Uint32Array {
  const result = new Uint32Array(count);
  for (let row = 0; row < count; row++) result[target[row]!] = values[row]!;
  return result;
}

interface PoolCounts {
  readonly vetted: number;
  readonly new: number;
}

function countPools(pools: Uint8Array, count: number): PoolCounts {
  const counts = { vetted: 0, new: 0 };
  for (let row = 0; row < count; row++) {
    if (pools[row] === POOL_VETTED) counts.vetted++;
    else if (pools[row] === POOL_NEW) counts.new++;
  }
  return counts;
}

/** Fills one candidate set: its positions by pool, their groups, its directory entry. */
function fillSet(
  views: SnapshotViews,
  number: number,
  planned: PlannedSet,
  keys: Uint32Array | Uint16Array,
  passes: Uint32Array,
  pools: PoolCounts,
): void {
  const set = views.sets[number]!;
  const unsorted = planned.attribute !== undefined;
  const identity = planned.filter === 0 && !unsorted;
  const first = { position: 0, group: 0 };
  const vetted = fillPool(set, first, keys, identity, unsorted, candidates(passes, planned, 0, pools.vetted));
  const end = pools.vetted + pools.new;
  const all = fillPool(set, vetted, keys, identity, unsorted, candidates(passes, planned, pools.vetted, end));
  writeGroup(set, all.group, all.position, 0);
  const entry = setEntryWord(number);
  views.header[entry + SET_WORD.GROUPING] = planned.attribute === undefined ? 0 : planned.attribute + 1;
  views.header[entry + SET_WORD.IDENTITY] = identity ? 1 : 0;
  views.header[entry + SET_WORD.VETTED_POSITIONS] = vetted.position;
  views.header[entry + SET_WORD.NEW_POSITIONS] = all.position - vetted.position;
  views.header[entry + SET_WORD.VETTED_GROUPS] = vetted.group;
  views.header[entry + SET_WORD.NEW_GROUPS] = all.group - vetted.group;
}

/** The rows from `from` to `to` that the set's filter lets pass, in order. */
function candidates(passes: Uint32Array, planned: PlannedSet, from: number, to: number): Uint32Array {
  const rows = new Uint32Array(to - from);
  let count = 0;
  for (let row = from; row < to; row++) if ((passes[row]! >>> planned.filter) & 1) rows[count++] = row;
  return rows.subarray(0, count);
}

interface FillPoint {
  readonly position: number;
  readonly group: number;
}

/**
 * Appends one pool's candidates, grouped by key, to the set. Rows come sorted by network; other keys need a
 * sort.
 */
function fillPool(
  set: SetViews,
  from: FillPoint,
  keys: Uint32Array | Uint16Array,
  identity: boolean,
  unsorted: boolean,
  rows: Uint32Array,
): FillPoint {
  const ordered = unsorted ? sortedByKey(rows, keys) : rows;
  let { position, group } = from;
  for (let i = 0; i < ordered.length; i++, position++) {
    const row = ordered[i]!;
    const key = keys[row]!;
    if (i === 0 || key !== set.groups[(group - 1) * GROUP_WORDS + GROUP_KEY_WORD]) {
      writeGroup(set, group++, position, key);
    }
    if (!identity) set.rows[position] = row;
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
  dictionaries: readonly ReadonlyMap<string, number>[],
): number {
  const text = JSON.stringify({
    attributes: plan.attributes.map((name, i) => ({ name, values: [...dictionaries[i]!.keys()] })),
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
