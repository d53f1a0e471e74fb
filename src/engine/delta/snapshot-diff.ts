// @hotpath
/**
 * The delta that leads from one snapshot to another: by id, and by what was said of its node. Both may stand
 * in slots or in files, and be made by loads, by deltas, on other machines. Linear in the rows.
 */
import { NETWORK_KEY_WORDS } from '../../../native-layout/network-key.ts';
import { DIGEST_WORDS, HEADER_WORD } from '../../../native-layout/snapshot-header.ts';
import {
  ADDRESS_BYTES,
  ID_BYTES,
  ID_WORDS,
  ROW_ADDRESS_WORD,
  ROW_NETWORK_WORD,
  ROW_PORT_WORD,
  ROW_WORDS,
  WIDE_ADDRESS_BYTES,
  WIDE_BINARY_BYTE,
} from '../../../native-layout/snapshot-row.ts';
import type { PrefixBits } from '../address/network-keys.ts';
import { assert } from '../assert.ts';
import { findRow, hashNodeId, NO_ROW } from '../snapshot/id-index.ts';
import { poolOf, type Snapshot } from '../snapshot/snapshot.ts';
import { readDescription } from '../snapshot/snapshot-description.ts';
import { DeltaWriter } from './delta-writer.ts';
import { sameKey } from './network-table.ts';
import { isWideRow } from './wide-row.ts';

/** Rows whose index entries are fetched at once. */
const RUN_ROWS = 64;

/** The delta from `before` to `after`, in private memory. Throws CAPACITY_EXCEEDED when it is too long. */
export function diffSnapshots(
  before: Snapshot,
  after: Snapshot,
  prefixBits: PrefixBits,
): Uint8Array<ArrayBuffer> {
  const comparison = new RowComparison(before, after);
  const writer = writerTo(after, prefixBits);
  const stays = new Uint8Array(before.rowCount);
  const rows = new Int32Array(RUN_ROWS);
  for (let from = 0; from < after.rowCount; from += RUN_ROWS) {
    const to = Math.min(after.rowCount, from + RUN_ROWS);
    findRows(before, after, from, to, rows);
    for (let row = from; row < to; row++) {
      const old = rows[row - from]!;
      if (old !== NO_ROW) stays[old] = 1;
      if (old === NO_ROW || !comparison.isSame(old, row)) writer.upsert(row);
    }
  }
  for (let row = 0; row < before.rowCount; row++) if (stays[row] === 0) writer.remove(before, row);
  return writer.finish(contentWords(before), contentWords(after));
}

/**
 * The same where all that changed is known: `ids`, 32 bytes each, none of them twice. An id that is in
 * neither snapshot, or stands for the same in both, is left out.
 */
export function deltaBetween(
  before: Snapshot,
  after: Snapshot,
  ids: Uint8Array,
  prefixBits: PrefixBits,
): Uint8Array<ArrayBuffer> {
  assert(ids.length % ID_BYTES === 0, () => `${ids.length} bytes are no ids`);
  const comparison = new RowComparison(before, after);
  const writer = writerTo(after, prefixBits);
  const words = new Uint32Array(ids.length / 4);
  new Uint8Array(words.buffer).set(ids);
  for (let at = 0; at < words.length; at += ID_WORDS) {
    if (at % (ID_WORDS * RUN_ROWS) === 0) {
      const end = Math.min(words.length, at + ID_WORDS * RUN_ROWS);
      touchRows(before, words, at, end);
      touchRows(after, words, at, end);
    }
    const old = rowOf(before, words, at);
    const row = rowOf(after, words, at);
    if (row === NO_ROW) {
      if (old !== NO_ROW) writer.remove(before, old);
    } else if (old === NO_ROW || !comparison.isSame(old, row)) writer.upsert(row);
  }
  return writer.finish(contentWords(before), contentWords(after));
}

function writerTo(after: Snapshot, prefixBits: PrefixBits): DeltaWriter {
  return new DeltaWriter(after, { attributes: after.views.attributeCodes.length, prefixBits });
}

function rowOf({ views, indexEntries, indexKeys }: Snapshot, words: Uint32Array, at: number): number {
  return findRow(views.idIndex, indexEntries, indexKeys, views.rowWords, words, at);
}

/** Writes the rows of `before` that have the ids of rows of `after` to `rows`. */
function findRows(before: Snapshot, after: Snapshot, from: number, to: number, rows: Int32Array): void {
  const { views, indexEntries, indexKeys } = before;
  const words = after.views.rowWords;
  const mask = indexEntries - 1;
  // Entries, and rows behind them, are anywhere in memory: asked for all at once they come at once.
  for (let row = from; row < to; row++) {
    rows[row - from] = views.idIndex[hashNodeId(words, row * ROW_WORDS, indexKeys) & mask]! - 1;
  }
  let all = 0;
  for (let i = 0; i < to - from; i++) all |= views.rowWords[Math.max(0, rows[i]!) * ROW_WORDS]!;
  touched[0] = all;
  for (let row = from; row < to; row++) rows[row - from] = rowOf(before, words, row * ROW_WORDS);
}

/** Fetches the rows of the ids from word `from` to `to` of `words`, all at once. */
function touchRows(
  { views: { idIndex, rowWords }, indexEntries, indexKeys }: Snapshot,
  words: Uint32Array,
  from: number,
  to: number,
): void {
  let all = 0;
  for (let at = from; at < to; at += ID_WORDS) {
    const row = idIndex[hashNodeId(words, at, indexKeys) & (indexEntries - 1)]! - 1;
    all |= rowWords[Math.max(0, row) * ROW_WORDS]!;
  }
  touched[0] = all;
}

/** Keeps loads that are made for their effect on the cache. */
const touched = new Uint32Array(1);

function contentWords({ views: { header } }: Snapshot): Uint32Array {
  return header.subarray(HEADER_WORD.CONTENT_DIGEST, HEADER_WORD.CONTENT_DIGEST + DIGEST_WORDS);
}

/** Compares what two rows of one id say. */
class RowComparison {
  readonly #before: Snapshot;
  readonly #after: Snapshot;
  /** For each attribute, for each code of the snapshot before, the code of the same text after. */
  readonly #codes: readonly Int32Array[];

  constructor(before: Snapshot, after: Snapshot) {
    this.#before = before;
    this.#after = after;
    const values = [before, after].map(({ views }) => readDescription(views).attributes);
    this.#codes = values[0]!.map((attribute, i) => codesAfter(attribute.values, values[1]![i]?.values ?? []));
    assert(values[0]!.length === values[1]!.length, 'both snapshots have the same attributes');
  }

  isSame(old: number, row: number): boolean {
    const before = this.#before.views;
    const after = this.#after.views;
    const oldAt = old * ROW_WORDS;
    const at = row * ROW_WORDS;
    if (poolOf(this.#before, old) !== poolOf(this.#after, row)) return false;
    // Digits and port.
    if (before.rowWords[oldAt + ROW_PORT_WORD] !== after.rowWords[at + ROW_PORT_WORD]) return false;
    const oldKey = before.rowWords[oldAt + ROW_NETWORK_WORD]! * NETWORK_KEY_WORDS;
    const key = after.rowWords[at + ROW_NETWORK_WORD]! * NETWORK_KEY_WORDS;
    if (!sameKey(before.networkKeyWords, oldKey, after.networkKeyWords, key)) return false;
    for (let i = 0; i < this.#codes.length; i++) {
      if (this.#codes[i]![before.attributeCodes[i]![old]!] !== after.attributeCodes[i]![row]) return false;
    }
    const wide = isWideRow(before.rowWords, old);
    if (wide !== isWideRow(after.rowWords, row)) return false;
    const oldAddress = before.rowWords[oldAt + ROW_ADDRESS_WORD]!;
    const address = after.rowWords[at + ROW_ADDRESS_WORD]!;
    return wide ? this.#sameWide(oldAddress, address) : oldAddress === address;
  }

  #sameWide(old: number, number: number): boolean {
    const before = this.#before.views.wideAddressBytes;
    const after = this.#after.views.wideAddressBytes;
    const oldAt = old * WIDE_ADDRESS_BYTES + WIDE_BINARY_BYTE;
    const at = number * WIDE_ADDRESS_BYTES + WIDE_BINARY_BYTE;
    for (let i = 0; i < ADDRESS_BYTES; i++) if (before[oldAt + i] !== after[at + i]) return false;
    return true;
  }
}

/** What no code is. */
const NO_CODE = -1;

function codesAfter(before: readonly string[], after: readonly string[]): Int32Array {
  const codeOf = new Map(after.map((text, i) => [text, i + 1]));
  return Int32Array.from([0, ...before.map(text => codeOf.get(text) ?? NO_CODE)]);
}
