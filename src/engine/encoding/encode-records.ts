// @hotpath
/** Rows as node records (native-layout/node-record.ts): fixed width, no text. */

import {
  POOL_INELIGIBLE,
  POOL_NEW,
  POOL_VETTED,
  RECORD_ADDRESS_WORD,
  RECORD_BYTES,
  RECORD_TAIL_WORD,
} from '../../../native-layout/node-record.ts';
import {
  ROW_ADDRESS_WORD,
  ROW_LONGS,
  ROW_PORT_WORD,
  ROW_TEXT_LENGTH_WORD,
  ROW_WORDS,
  WIDE_ADDRESS_BYTES,
  WIDE_BINARY_BYTE,
} from '../../../native-layout/snapshot-row.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';

const RECORD_ADDRESS_BYTE = 4 * RECORD_ADDRESS_WORD;
const RECORD_TAIL_BYTE = 4 * RECORD_TAIL_WORD;
const WIDE_LONGS = WIDE_ADDRESS_BYTES / 8;
const WIDE_BINARY_LONG = WIDE_BINARY_BYTE / 8;
/** Bytes 8 to 11 of an IPv4 address in its mapped form, 0 0 255 255, as a little-endian word. */
const MAPPED = 0xffff_0000 | 0;

/**
 * Writes the records of `rows` below `count` to `target` from byte `at`, RECORD_BYTES each, at any alignment.
 */
export function encodeRecords(
  snapshot: Snapshot,
  rows: Uint32Array,
  count: number,
  target: DataView,
  at: number,
): void {
  const { rowWords, rowLongs, wideAddressLongs } = snapshot.views;
  const vettedCount = snapshot.vettedCount;
  const eligible = vettedCount + snapshot.newCount;
  for (let i = 0, to = at; i < count; i++, to += RECORD_BYTES) {
    const row = rows[i]!;
    // Unrolled, because V8 does not. Loaded and stored at once, a 64-bit value is never made an object.
    const long = row * ROW_LONGS;
    target.setBigInt64(to, rowLongs[long]!, true);
    target.setBigInt64(to + 8, rowLongs[long + 1]!, true);
    target.setBigInt64(to + 16, rowLongs[long + 2]!, true);
    target.setBigInt64(to + 24, rowLongs[long + 3]!, true);
    const word = row * ROW_WORDS;
    const address = rowWords[word + ROW_ADDRESS_WORD]!;
    if (rowWords[word + ROW_TEXT_LENGTH_WORD]! >>> 24 !== 0) {
      target.setBigInt64(to + RECORD_ADDRESS_BYTE, 0n, true);
      target.setInt32(to + RECORD_ADDRESS_BYTE + 8, MAPPED, true);
      target.setInt32(to + RECORD_ADDRESS_BYTE + 12, address, true);
    } else {
      const wide = address * WIDE_LONGS + WIDE_BINARY_LONG;
      target.setBigInt64(to + RECORD_ADDRESS_BYTE, wideAddressLongs[wide]!, true);
      target.setBigInt64(to + RECORD_ADDRESS_BYTE + 8, wideAddressLongs[wide + 1]!, true);
    }
    const pool = row < vettedCount ? POOL_VETTED : row < eligible ? POOL_NEW : POOL_INELIGIBLE;
    target.setInt32(to + RECORD_TAIL_BYTE, (rowWords[word + ROW_PORT_WORD]! >>> 16) | (pool << 16), true);
  }
}
