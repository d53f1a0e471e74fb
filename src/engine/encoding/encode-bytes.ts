/** What the plain encoders share: texts, big-endian numbers, and bytes of a row. */
import {
  ROW_ADDRESS_WORD,
  ROW_BYTES,
  ROW_TEXT_BYTE,
  ROW_TEXT_LENGTH_BYTE,
  ROW_WORDS,
  WIDE_ADDRESS_BYTES,
  WIDE_TEXT_LENGTH_BYTE,
} from '../../../native-layout/snapshot-row.ts';
import type { SnapshotViews } from '../../../native-layout/snapshot-views.ts';

/** Writes text of characters below 256; returns the index after it. */
export function writeAscii(target: Uint8Array, at: number, text: string): number {
  for (let i = 0; i < text.length; i++) target[at + i] = text.charCodeAt(i);
  return at + text.length;
}

/** Copies `count` bytes of `source` from `from` on; returns the index after them. */
export function writeBytes(
  target: Uint8Array,
  at: number,
  source: Uint8Array,
  from: number,
  count: number,
): number {
  for (let i = 0; i < count; i++) target[at + i] = source[from + i]!;
  return at + count;
}

/** Writes the lowest `bytes` bytes of `value`, the highest of them first; returns the index after them. */
export function writeBigEndian(target: Uint8Array, at: number, value: number, bytes: number): number {
  for (let i = 0; i < bytes; i++) target[at + i] = value >>> (8 * (bytes - 1 - i));
  return at + bytes;
}

/** The text of a row's address: bytes of a column. */
export interface AddressText {
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly length: number;
}

export function addressText(views: SnapshotViews, row: number): AddressText {
  const { rowBytes, rowWords, wideAddressBytes } = views;
  const length = rowBytes[row * ROW_BYTES + ROW_TEXT_LENGTH_BYTE]!;
  if (length !== 0) return { bytes: rowBytes, from: row * ROW_BYTES + ROW_TEXT_BYTE, length };
  const from = rowWords[row * ROW_WORDS + ROW_ADDRESS_WORD]! * WIDE_ADDRESS_BYTES;
  return { bytes: wideAddressBytes, from, length: wideAddressBytes[from + WIDE_TEXT_LENGTH_BYTE]! };
}
