// @hotpath
/** What the encoders share: texts as 64-bit constants, ASCII, and the text of IPv6 addresses. */
import { WIDE_ADDRESS_BYTES, WIDE_TEXT_LENGTH_BYTE } from '../../../native-layout/snapshot-row.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';

/**
 * Up to eight bytes, given as characters below 256, as a little-endian integer for `setBigInt64`. Shorter
 * texts are padded with zeros, to be written over. Loaded from a constant and stored at once, it is never
 * made an object.
 */
export function bytesLong(text: string): bigint {
  let value = 0n;
  for (let i = 0; i < text.length; i++) value |= BigInt(text.charCodeAt(i)) << BigInt(8 * i);
  return BigInt.asIntN(64, value);
}

/** Writes ASCII text; returns the index after it. */
export function writeAscii(target: Uint8Array, at: number, text: string): number {
  for (let i = 0; i < text.length; i++) target[at + i] = text.charCodeAt(i);
  return at + text.length;
}

/** Length of the text of wide address `number`. */
export function wideAddressLength(snapshot: Snapshot, number: number): number {
  return snapshot.views.wideAddressBytes[number * WIDE_ADDRESS_BYTES + WIDE_TEXT_LENGTH_BYTE]!;
}

/** Copies the text of wide address `number`; returns the index after it. */
export function writeWideAddress(snapshot: Snapshot, number: number, target: Uint8Array, at: number): number {
  const bytes = snapshot.views.wideAddressBytes;
  const from = number * WIDE_ADDRESS_BYTES;
  const length = wideAddressLength(snapshot, number);
  for (let i = 0; i < length; i++) target[at + i] = bytes[from + i]!;
  return at + length;
}
