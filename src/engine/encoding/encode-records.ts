// @hotpath
/** Rows as node records (native-layout/node-record.ts): fixed width, no text. */

import { CELL_WORDS } from '../../../native-layout/address-cell.ts';
import {
  POOL_INELIGIBLE,
  POOL_NEW,
  POOL_VETTED,
  RECORD_ADDRESS_WORD,
  RECORD_BYTES,
  RECORD_TAIL_WORD,
} from '../../../native-layout/node-record.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';

const ID_LONGS = 4;
const ADDRESS_LONGS = 2;
const RECORD_ADDRESS_BYTE = 4 * RECORD_ADDRESS_WORD;
const RECORD_TAIL_BYTE = 4 * RECORD_TAIL_WORD;

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
  const { idLongs, addressLongs, cellWords } = snapshot.views;
  const vettedCount = snapshot.vettedCount;
  const eligible = vettedCount + snapshot.newCount;
  for (let i = 0, to = at; i < count; i++, to += RECORD_BYTES) {
    const row = rows[i]!;
    // Unrolled, because V8 does not. Loaded and stored at once, a 64-bit value is never made an object.
    const id = row * ID_LONGS;
    target.setBigInt64(to, idLongs[id]!, true);
    target.setBigInt64(to + 8, idLongs[id + 1]!, true);
    target.setBigInt64(to + 16, idLongs[id + 2]!, true);
    target.setBigInt64(to + 24, idLongs[id + 3]!, true);
    const address = row * ADDRESS_LONGS;
    target.setBigInt64(to + RECORD_ADDRESS_BYTE, addressLongs[address]!, true);
    target.setBigInt64(to + RECORD_ADDRESS_BYTE + 8, addressLongs[address + 1]!, true);
    const pool = row < vettedCount ? POOL_VETTED : row < eligible ? POOL_NEW : POOL_INELIGIBLE;
    target.setInt32(to + RECORD_TAIL_BYTE, (cellWords[row * CELL_WORDS + 5]! >>> 16) | (pool << 16), true);
  }
}
