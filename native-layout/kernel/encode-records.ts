/** Rows as node records. The plain twin is src/engine/encoding/encode-records.ts. */
import {
  HEADER_WORD_NEW,
  HEADER_WORD_VETTED,
  KERNEL_WORD_ROW,
  POOL_INELIGIBLE,
  POOL_NEW,
  POOL_VETTED,
  RECORD_ADDRESS_WORD,
  RECORD_BYTES,
  RECORD_MAPPED_WORD,
  RECORD_TAIL_WORD,
  ROW_ADDRESS_BYTE,
  ROW_BYTES,
  ROW_PORT_BYTE,
  ROW_TEXT_LENGTH_BYTE,
  WIDE_BINARY_BYTE,
} from './constants';
import { directory, header } from './directory';
import { fetchRows } from './fetch-rows';
import { load16, load32, load128 } from './slot';
import { wideAddressOf } from './text';

/**
 * Writes the records of the `count` rows that are listed at `list` to `target`, both in the private memory.
 */
export function encodeRecords(list: u32, count: u32, target: u32): void {
  const rows = directory(KERNEL_WORD_ROW);
  const vettedEnd = rows + header(HEADER_WORD_VETTED) * ROW_BYTES;
  const eligibleEnd = vettedEnd + header(HEADER_WORD_NEW) * ROW_BYTES;
  fetchRows(list, count);
  let to = target;
  for (let at = list; at < list + (count << 2); at += 4, to += RECORD_BYTES) {
    const row = rows + load<u32>(at) * ROW_BYTES;
    v128.store(to, load128(row));
    v128.store(to, load128(row + 16), 16);
    if (load32(row + ROW_TEXT_LENGTH_BYTE - 3) >> 24 !== 0) {
      store<u64>(to, 0, 4 * RECORD_ADDRESS_WORD);
      store<u32>(to, RECORD_MAPPED_WORD, 4 * RECORD_ADDRESS_WORD + 8);
      store<u32>(to, load32(row + ROW_ADDRESS_BYTE), 4 * RECORD_ADDRESS_WORD + 12);
    } else {
      v128.store(to, load128(wideAddressOf(row) + WIDE_BINARY_BYTE), 4 * RECORD_ADDRESS_WORD);
    }
    const pool: u32 = row < vettedEnd ? POOL_VETTED : row < eligibleEnd ? POOL_NEW : POOL_INELIGIBLE;
    store<u32>(to, load16(row + ROW_PORT_BYTE) | (pool << 16), 4 * RECORD_TAIL_WORD);
  }
}
