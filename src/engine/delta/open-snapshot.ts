// @hotpath
/**
 * Puts the bytes of a snapshot, from a file or from another replica, into a slot of this cache. Checked are
 * the bytes as those of a build are; that they were made under the settings of this cache; and what a build
 * guarantees by itself, because these may come from anyone: that no two networks have one key, no two rows
 * one wide address, no row an address that is refused here, and that candidate sets are what the filters
 * say.
 */
import { HEADER_WORD, HEADER_WORDS, SET_WORD, setEntryWord } from '../../../native-layout/snapshot-header.ts';
import { alignColumn } from '../../../native-layout/snapshot-layout.ts';
import {
  ADDRESS_BYTES,
  ROW_ADDRESS_WORD,
  ROW_WORDS,
  WIDE_ADDRESS_BYTES,
  WIDE_BINARY_BYTE,
} from '../../../native-layout/snapshot-row.ts';
import type { SnapshotViews } from '../../../native-layout/snapshot-views.ts';
import { writeMappedPrefix } from '../address/address.ts';
import type { PrefixBits } from '../address/network-keys.ts';
import { isSpecialIpv4, specialUseTest } from '../address/special-use.ts';
import { CacheError } from '../errors.ts';
import { clearLive } from '../live-column.ts';
import type { PlacementPlan } from '../placement/placement-plan.ts';
import { NO_FILTER } from '../snapshot/attribute-codes.ts';
import type { BuildMemory } from '../snapshot/build-memory.ts';
import { contentDigestOf } from '../snapshot/content-digest.ts';
import { contentLayout, openPackedSnapshot, type Snapshot } from '../snapshot/snapshot.ts';
import {
  describeSnapshot,
  readDescription,
  type SnapshotDescription,
} from '../snapshot/snapshot-description.ts';
import type { SnapshotStamp } from '../snapshot/snapshot-finish.ts';
import { validateSnapshot } from '../snapshot/snapshot-validator.ts';
import { NetworkTable } from './network-table.ts';
import { WideNumbers } from './wide-numbers.ts';
import { isWideRow } from './wide-row.ts';

export interface OpenOptions {
  readonly plan: PlacementPlan;
  readonly prefixBits: PrefixBits;
  readonly allowRanges: readonly string[];
  /** Generation and moment of the read, as this cache is to know them. */
  readonly stamp: SnapshotStamp;
}

/**
 * Opens `packed` in the slot of `target`; returns the snapshot, ready to be published. Throws
 * SNAPSHOT_CORRUPT, LAYOUT_MISMATCH where it was made under other settings, CAPACITY_EXCEEDED where the slot
 * is too small; then the slot holds nothing of use. `memory` as for a build.
 */
export function openSnapshotInto(
  target: SnapshotViews,
  packed: Uint8Array<ArrayBuffer>,
  options: OpenOptions,
  memory: BuildMemory,
): Snapshot {
  const { plan, prefixBits, stamp } = options;
  const { views } = openPackedSnapshot(packed);
  const description = readDescription(views);
  checkSettings(
    description,
    describeSnapshot(
      plan,
      prefixBits,
      plan.attributes.map(() => []),
    ),
  );
  const claimed = contentDigestOf(views);
  copyContent(views, target);
  target.header[HEADER_WORD.GENERATION] = stamp.generation;
  target.headerFloats[HEADER_WORD.READ_AT_MONOTONIC / 2] = stamp.readAtMonotonic;
  target.headerFloats[HEADER_WORD.READ_AT_UNIX / 2] = stamp.readAtUnix;
  clearLive(target);
  const snapshot = validateSnapshot(target, memory);
  const content = contentDigestOf(target);
  if (content !== claimed) corrupt(`the content is ${content}; the header says ${claimed}`);
  checkNetworks(snapshot);
  new WideNumbers().takeRows(snapshot, target.header[HEADER_WORD.WIDE_ADDRESSES]!);
  checkAddresses(snapshot, options.allowRanges);
  checkFilters(snapshot, plan, description);
  return snapshot;
}

/** Characters of a foreign description that an error repeats. */
const SAID_SHOWN_MAX = 500;

/** Names what differs. */
function checkSettings(theirs: SnapshotDescription, ours: SnapshotDescription): void {
  const compare = (what: string, a: unknown, b: unknown) => {
    const [said, expected] = [JSON.stringify(a), JSON.stringify(b)];
    if (said === expected) return;
    // Whoever made the file may have said a great deal.
    const shown = said.length <= SAID_SHOWN_MAX ? said : `${said.slice(0, SAID_SHOWN_MAX)}…`;
    mismatch(`the snapshot has ${what} ${shown}, this cache ${expected}`);
  };
  const names = ({ attributes }: SnapshotDescription) => attributes.map(({ name }) => name);
  compare('networkPrefixBits', theirs.prefixBits, ours.prefixBits);
  compare('attributes', names(theirs), names(ours));
  compare('placements', theirs.placements, ours.placements);
  compare('candidate sets', theirs.sets, ours.sets);
}

function copyContent(from: SnapshotViews, to: SnapshotViews): void {
  const columns = contentLayout(from.header).columns;
  // Another number of sets or attributes than the description says.
  if (columns.length !== to.layout.columns.length) corrupt(`${columns.length} columns`);
  const source = new Uint8Array(from.buffer);
  const target = new Uint8Array(to.buffer);
  columns.forEach((column, i) => {
    const place = to.layout.columns[i]!;
    if (column.byteLength > place.byteLength) {
      throw new CacheError(
        'CAPACITY_EXCEEDED',
        `column ${column.name} of the snapshot takes ${column.byteLength} bytes; this cache has room for ` +
          `${place.byteLength} (capacity.nodes)`,
        { field: 'capacity.nodes' },
      );
    }
    target.set(source.subarray(column.byteOffset, column.byteOffset + column.byteLength), place.byteOffset);
    const end = place.byteOffset + column.byteLength;
    target.fill(0, end, alignColumn(end));
  });
  to.header.set(from.header.subarray(0, HEADER_WORDS));
}

function checkNetworks({ views: { networkKeyWords }, networkCount, views }: Snapshot): void {
  const table = new NetworkTable();
  table.clear(views.header[HEADER_WORD.INDEX_SEED]!, networkCount);
  for (let number = 0; number < networkCount; number++) {
    if (!table.add(networkKeyWords, number)) corrupt(`network ${number} has another number, too`);
  }
}

/** Rows are not in a range that is refused: the other side may allow more. */
function checkAddresses({ views, rowCount }: Snapshot, allowRanges: readonly string[]): void {
  const { rowWords, wideAddressBytes } = views;
  const rangeOf = specialUseTest(allowRanges);
  const mapped = new Uint8Array(ADDRESS_BYTES);
  const mappedWord = new Uint32Array(mapped.buffer, ADDRESS_BYTES - 4);
  writeMappedPrefix(mapped);
  for (let row = 0; row < rowCount; row++) {
    const address = rowWords[row * ROW_WORDS + ROW_ADDRESS_WORD]!;
    let range: string | undefined;
    if (isWideRow(rowWords, row)) {
      const from = address * WIDE_ADDRESS_BYTES + WIDE_BINARY_BYTE;
      range = rangeOf(wideAddressBytes.subarray(from, from + ADDRESS_BYTES), false);
    } else if (isSpecialIpv4(address)) {
      mappedWord[0] = address;
      range = rangeOf(mapped, true);
    }
    if (range === undefined) continue;
    throw new CacheError(
      'LAYOUT_MISMATCH',
      `row ${row} of the snapshot has an address in ${range}, which this cache refuses (guard.allowRanges)`,
      { field: 'guard.allowRanges' },
    );
  }
}

/**
 * Every candidate set has the rows that its filter lets pass: the other side may mean something else by it.
 */
function checkFilters(snapshot: Snapshot, plan: PlacementPlan, description: SnapshotDescription): void {
  const { views, sets } = snapshot;
  const passes = passesOf(snapshot, plan, description);
  plan.sets.forEach(({ filter, attribute }, number) => {
    const entry = setEntryWord(number);
    const grouping = attribute === undefined ? 0 : attribute + 1;
    const identity = filter === 0 && attribute === undefined;
    const set = sets[number]!;
    if (views.header[entry + SET_WORD.GROUPING] !== grouping || set.identity !== identity) {
      corrupt(`candidate set ${number} is grouped otherwise than its description says`);
    }
    if (identity) return;
    // Positions are different rows: that has been checked.
    const positions = set.vettedPositions + set.newPositions;
    let expected = 0;
    for (let row = 0; row < passes.length; row++) expected += (passes[row]! >>> filter) & 1;
    let passing = 0;
    for (let i = 0; i < positions; i++) passing += (passes[set.rows[i]!]! >>> filter) & 1;
    if (passing === expected && positions === expected) return;
    mismatch(
      `candidate set ${number} of the snapshot has ${positions} nodes, of which filter ${filter} of this ` +
        `cache lets ${passing} pass, of ${expected} in all`,
    );
  });
}

/** Bit f set for each row that can be picked where filter f of this cache lets it pass. */
function passesOf(
  { views, vettedCount, newCount }: Snapshot,
  { filters }: PlacementPlan,
  { attributes }: SnapshotDescription,
): Uint32Array {
  const passes = new Uint32Array(vettedCount + newCount).fill(NO_FILTER);
  if (filters.length === 1) return passes;
  const values: (string | undefined)[] = [];
  for (let row = 0; row < passes.length; row++) {
    for (let i = 0; i < attributes.length; i++) {
      values[i] = attributes[i]!.values[views.attributeCodes[i]![row]! - 1];
    }
    for (let i = 1; i < filters.length; i++) if (filters[i]!(values)) passes[row]! |= 1 << i;
  }
  return passes;
}

function corrupt(problem: string): never {
  throw new CacheError('SNAPSHOT_CORRUPT', problem);
}

function mismatch(problem: string): never {
  throw new CacheError('LAYOUT_MISMATCH', problem);
}
