// @hotpath
/**
 * What each change of a delta means for the current snapshot: the row that the id has now, the number of its
 * network and of its wide address in the next one, and which of five things happens to it.
 */
import { HEADER_WORD } from '../../../native-layout/snapshot-header.ts';
import {
  ADDRESS_BYTES,
  ID_WORDS,
  ROW_ADDRESS_WORD,
  ROW_NETWORK_WORD,
  ROW_PORT_WORD,
  ROW_WORDS,
  WIDE_ADDRESS_BYTES,
  WIDE_BINARY_BYTE,
} from '../../../native-layout/snapshot-row.ts';
import type { SnapshotViews } from '../../../native-layout/snapshot-views.ts';
import { findRow, NO_ROW } from '../snapshot/id-index.ts';
import { poolOf, type Snapshot } from '../snapshot/snapshot.ts';
import { type ChangeList, POOL_NONE } from './change-list.ts';
import { NETWORK_SHORTAGE, type NetworkNumbers } from './network-numbers.ts';
import { TOUCHED_TOGETHER, touchIds, touchRows } from './touch.ts';
import type { WideNumbers } from './wide-numbers.ts';
import { isWideRow } from './wide-row.ts';

/** What happens to a row. */
export const KIND = {
  /** Nothing: it is as the change says, or it is not there and does not come. */
  NONE: 0,
  REMOVED: 1,
  INSERTED: 2,
  /** It comes into another pool or network, and so to another place. */
  MOVED: 3,
  /** It stays where it is, with something else in it. */
  PATCHED: 4,
} as const;

export interface ResolvedChanges {
  /** KIND of each change. */
  readonly kinds: Uint8Array;
  /** Row of each change in the current snapshot, or NO_ROW. */
  readonly oldRows: Int32Array;
  /** Number of the network that the row comes into. */
  readonly networks: Uint32Array;
  /** Number of its wide address, where its address is IPv6. */
  readonly wides: Uint32Array;
  /** Changes of each kind. */
  readonly counts: Uint32Array;
}

/** Numbers of the next snapshot. */
export interface NextNumbers {
  readonly networks: NetworkNumbers;
  readonly wides: WideNumbers;
  /** For each attribute the code, in the snapshot, of each code of the list. */
  readonly codes: readonly Uint16Array[];
}

/** Returns `undefined` when there are more networks than the snapshot has numbers for. */
export function resolveChanges(
  current: Snapshot,
  changes: ChangeList,
  next: NextNumbers,
): ResolvedChanges | undefined {
  const { count } = changes;
  const resolved: ResolvedChanges = {
    kinds: new Uint8Array(count),
    oldRows: findRows(current, changes),
    networks: new Uint32Array(count),
    wides: new Uint32Array(count),
    counts: new Uint32Array(Object.keys(KIND).length),
  };
  for (let change = 0; change < count; change++) {
    if (change % TOUCHED_TOGETHER === 0) {
      touchRows(current.views, resolved.oldRows, change, change + TOUCHED_TOGETHER);
    }
    const kind = resolve(current, changes, next, resolved, change);
    if (kind === NETWORK_SHORTAGE) return undefined;
    resolved.kinds[change] = kind;
    resolved.counts[kind]!++;
  }
  numberWides(current, changes, next.wides, resolved);
  return resolved;
}

/** The row that each id has now. */
function findRows(current: Snapshot, changes: ChangeList): Int32Array {
  const { views, indexEntries, indexKeys } = current;
  const { idIndex, rowWords } = views;
  const { count, words } = changes;
  const rows = new Int32Array(count);
  for (let change = 0; change < count; change++) {
    if (change % TOUCHED_TOGETHER === 0) {
      const together = Math.min(TOUCHED_TOGETHER, count - change);
      touchIds(current, words, changes.hashWord(change), changes.stride, together);
    }
    rows[change] = findRow(idIndex, indexEntries, indexKeys, rowWords, words, changes.idWord(change));
  }
  return rows;
}

/** The ids of changes that change something, 32 bytes each. */
export function changedIdsOf(changes: ChangeList, { kinds, counts }: ResolvedChanges): Uint8Array {
  const ids = new Uint32Array(ID_WORDS * (kinds.length - counts[KIND.NONE]!));
  let at = 0;
  for (let change = 0; change < kinds.length; change++) {
    if (kinds[change] === KIND.NONE) continue;
    const from = changes.idWord(change);
    for (let i = 0; i < ID_WORDS; i++) ids[at++] = changes.words[from + i]!;
  }
  return new Uint8Array(ids.buffer);
}

function resolve(
  current: Snapshot,
  changes: ChangeList,
  next: NextNumbers,
  resolved: ResolvedChanges,
  change: number,
): number {
  const row = resolved.oldRows[change]!;
  const pool = changes.pool(change);
  if (pool === POOL_NONE) return row === NO_ROW ? KIND.NONE : KIND.REMOVED;
  const { words } = changes;
  const at = changes.keyWord(change);
  if (row === NO_ROW) {
    const network = next.networks.numberOf(words, at);
    resolved.networks[change] = network;
    return network < 0 ? NETWORK_SHORTAGE : KIND.INSERTED;
  }
  const { views } = current;
  const before = views.rowWords[row * ROW_WORDS + ROW_NETWORK_WORD]!;
  // Most nodes stay where they are: that is asked before the table is.
  const stays = next.networks.isNumberOf(before, words, at);
  const network = stays ? before : next.networks.numberOf(words, at);
  if (network < 0) return NETWORK_SHORTAGE;
  resolved.networks[change] = network;
  if (network !== before || pool !== poolOf(current, row)) return KIND.MOVED;
  return isSame(views, changes, next.codes, change, row) ? KIND.NONE : KIND.PATCHED;
}

/** True when the row, which stays in its pool and network, has address, port and values of the change. */
function isSame(
  views: SnapshotViews,
  changes: ChangeList,
  codes: readonly Uint16Array[],
  change: number,
  row: number,
): boolean {
  const { rowWords, attributeCodes } = views;
  const word = row * ROW_WORDS;
  if (rowWords[word + ROW_PORT_WORD]! >>> 16 !== changes.port(change)) return false;
  const wide = isWideRow(rowWords, row);
  if (wide !== changes.isWide(change)) return false;
  const address = rowWords[word + ROW_ADDRESS_WORD]!;
  if (wide ? !sameWide(views, address, changes, change) : address !== changes.ipv4(change)) return false;
  for (let i = 0; i < attributeCodes.length; i++) {
    if (attributeCodes[i]![row] !== codes[i]![changes.code(change, i)]) return false;
  }
  return true;
}

function sameWide(
  { wideAddressBytes }: SnapshotViews,
  number: number,
  changes: ChangeList,
  change: number,
): boolean {
  const at = number * WIDE_ADDRESS_BYTES + WIDE_BINARY_BYTE;
  const { wide } = changes;
  const from = changes.wideByte(change);
  for (let i = 0; i < ADDRESS_BYTES; i++) if (wideAddressBytes[at + i] !== wide[from + i]) return false;
  return true;
}

/** A row keeps the number of its wide address; numbers that are given up go to rows that need one. */
function numberWides(
  { views: { rowWords, header } }: Snapshot,
  changes: ChangeList,
  numbers: WideNumbers,
  { kinds, oldRows, wides }: ResolvedChanges,
): void {
  const anyBefore = header[HEADER_WORD.WIDE_ADDRESSES] !== 0;
  if (!anyBefore && changes.wideCount === 0) return;
  const needs: number[] = [];
  for (let change = 0; change < kinds.length; change++) {
    const kind = kinds[change]!;
    if (kind === KIND.NONE) continue;
    const row = oldRows[change]!;
    const before = anyBefore && row !== NO_ROW && isWideRow(rowWords, row);
    const after = kind !== KIND.REMOVED && changes.isWide(change);
    const number = before ? rowWords[row * ROW_WORDS + ROW_ADDRESS_WORD]! : 0;
    if (before && after) wides[change] = number;
    else if (before) numbers.free(number);
    else if (after) needs.push(change);
  }
  for (const change of needs) wides[change] = numbers.take();
}
