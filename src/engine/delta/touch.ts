// @hotpath
/**
 * Fetches what is anywhere in memory into the nearest cache, for many ids or rows at once: the processor
 * waits for all of it together. One after the other, as the work that follows asks for it, each is waited
 * for by itself (some 100 ns), because what is asked for next depends on it.
 */
import { NETWORK_KEY_WORDS } from '../../../native-layout/network-key.ts';
import { ROW_NETWORK_WORD, ROW_WORDS } from '../../../native-layout/snapshot-row.ts';
import type { SnapshotViews } from '../../../native-layout/snapshot-views.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';

/** Ids or rows that are fetched together. */
export const TOUCHED_TOGETHER = 64;
const CACHE_LINE_WORDS = 16;

/** Keeps loads that are made for their effect on the cache. */
const touched = new Uint32Array(1);

/**
 * Fetches entries of the id index, and the rows in them: `count` hashes, each `stride` words on from
 * `first`.
 */
export function touchIds(
  { views: { idIndex, rowWords }, indexEntries }: Snapshot,
  words: Uint32Array,
  first: number,
  stride: number,
  count: number,
): void {
  const mask = indexEntries - 1;
  let all = 0;
  for (let i = 0, at = first; i < count; i++, at += stride) {
    const row = idIndex[words[at]! & mask]! - 1;
    all |= rowWords[Math.max(0, row) * ROW_WORDS]!;
  }
  touched[0] = all;
}

/** Fetches the lines of the words from `from` to `to`. */
export function touchWords(words: Uint32Array, from: number, to: number): void {
  let all = 0;
  for (let at = from; at < to; at += CACHE_LINE_WORDS) all |= words[at]!;
  touched[0] = all;
}

/** Fetches entries of an id index alone. */
export function touchEntries(
  index: Uint32Array,
  words: Uint32Array,
  first: number,
  stride: number,
  count: number,
): void {
  const mask = index.length - 1;
  let all = 0;
  for (let i = 0, at = first; i < count; i++, at += stride) all |= index[words[at]! & mask]!;
  touched[0] = all;
}

/**
 * Fetches rows, and the keys of their networks. `rows`: numbers from index `from` to `to`; negative: none.
 */
export function touchRows(
  { rowWords, networkKeyWords }: SnapshotViews,
  rows: Int32Array | Uint32Array,
  from: number,
  to: number,
): void {
  const end = Math.min(to, rows.length);
  let all = 0;
  for (let i = from; i < end; i++) {
    const network = rowWords[Math.max(0, rows[i]!) * ROW_WORDS + ROW_NETWORK_WORD]!;
    all |= networkKeyWords[network * NETWORK_KEY_WORDS]!;
  }
  touched[0] = all;
}
