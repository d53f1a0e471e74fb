/**
 * Rows as node records (native-layout/node-record.ts): fixed width, no text. Plain twin of
 * native-layout/kernel/encode-records.ts.
 */
import {
  RECORD_ADDRESS_WORD,
  RECORD_BYTES,
  RECORD_MAPPED_WORD,
  RECORD_TAIL_WORD,
} from '../../../native-layout/node-record.ts';
import {
  ADDRESS_BYTES,
  ID_BYTES,
  ROW_ADDRESS_BYTE,
  ROW_ADDRESS_WORD,
  ROW_BYTES,
  ROW_PORT_WORD,
  ROW_TEXT_LENGTH_BYTE,
  ROW_WORDS,
  WIDE_ADDRESS_BYTES,
  WIDE_BINARY_BYTE,
} from '../../../native-layout/snapshot-row.ts';
import { poolOf, type Snapshot } from '../snapshot/snapshot.ts';
import { writeBytes } from './encode-bytes.ts';

const RECORD_ADDRESS_BYTE = 4 * RECORD_ADDRESS_WORD;
const RECORD_TAIL_BYTE = 4 * RECORD_TAIL_WORD;

/** Writes the records of `rows` below `count` to `target` from byte `at`, RECORD_BYTES each. */
export function encodeRecords(
  snapshot: Snapshot,
  rows: Uint32Array,
  count: number,
  target: Uint8Array,
  at: number,
): void {
  for (let i = 0; i < count; i++) writeRecord(snapshot, rows[i]!, target, at + i * RECORD_BYTES);
}

function writeRecord(snapshot: Snapshot, row: number, target: Uint8Array, at: number): void {
  const { rowBytes, rowWords, wideAddressBytes } = snapshot.views;
  const from = row * ROW_BYTES;
  writeBytes(target, at, rowBytes, from, ID_BYTES);
  if (rowBytes[from + ROW_TEXT_LENGTH_BYTE] !== 0) {
    target.fill(0, at + RECORD_ADDRESS_BYTE, at + RECORD_ADDRESS_BYTE + 8);
    writeWord(target, at + RECORD_ADDRESS_BYTE + 8, RECORD_MAPPED_WORD);
    writeBytes(target, at + RECORD_ADDRESS_BYTE + 12, rowBytes, from + ROW_ADDRESS_BYTE, 4);
  } else {
    const wide = rowWords[row * ROW_WORDS + ROW_ADDRESS_WORD]! * WIDE_ADDRESS_BYTES + WIDE_BINARY_BYTE;
    writeBytes(target, at + RECORD_ADDRESS_BYTE, wideAddressBytes, wide, ADDRESS_BYTES);
  }
  const port = rowWords[row * ROW_WORDS + ROW_PORT_WORD]! >>> 16;
  writeWord(target, at + RECORD_TAIL_BYTE, port | (poolOf(snapshot, row) << 16));
}

/** Little-endian. */
function writeWord(target: Uint8Array, at: number, word: number): void {
  for (let i = 0; i < 4; i++) target[at + i] = word >>> (8 * i);
}
