// @hotpath
/**
 * A selection as JSON: `{"generation":7,"ageMs":1234,"nodes":[{"id":"…","ip":"…","port":28967,"pool":"vetted"},…]}`.
 * Constants, ids and texts go out as 32-bit words at any offset; a word may overrun its text, because the next one is
 * written over the overrun. Hence the slack at the end of the buffer.
 */
import {
  CELL_WORDS,
  WIDE_ADDRESS_BYTES,
  WIDE_ADDRESS_LENGTH_BYTE,
} from '../../native-layout/address-cell.ts';
import { ID_WORDS } from './node-id.ts';
import type { Snapshot } from './snapshot.ts';

/** Bytes of the longest element, `{"id":"<64>","ip":"<39>","port":65535,"pool":"vetted"},`. */
const NODE_BYTES_MAX = 7 + 64 + 8 + 39 + 9 + 5 + 18 + 1;
/** `{"generation":<10>,"ageMs":<16>,"nodes":[` and `]}`, and the overrun of the last word. */
const FRAME_BYTES_MAX = 80;

/** Bytes that a buffer needs to take `count` picks for certain. */
export function jsonBytesMax(count: number): number {
  return FRAME_BYTES_MAX + count * NODE_BYTES_MAX;
}

/** Two hexadecimal digits of each byte, the first in the low half. */
const DIGITS = new Uint16Array(256);
for (let byte = 0; byte < 256; byte++) {
  const text = byte.toString(16).padStart(2, '0');
  DIGITS[byte] = text.charCodeAt(0) | (text.charCodeAt(1) << 8);
}

/** Four characters as a little-endian word; shorter texts are padded with zeros, to be written over. */
function word(text: string): number {
  let value = 0;
  for (let i = 0; i < text.length; i++) value |= text.charCodeAt(i) << (8 * i);
  return value;
}

const ID_0 = word('{"id');
const ID_1 = word('":"');
const IP_0 = word('","i');
const IP_1 = word('p":"');
const PORT_0 = word('","p');
const PORT_1 = word('ort"');
const PORT_2 = word(':');
const POOL_0 = word(',"po');
const POOL_1 = word('ol":');
const VETTED_0 = word('"vet');
const VETTED_1 = word('ted"');
const VETTED_2 = word('},');
const NEW_0 = word('"new');
const NEW_1 = word('"},');

/**
 * Writes the answer to `target` and returns its length in bytes. `view` covers the same bytes as `target`, which has
 * at least `jsonBytesMax(count)` of them. Rows of `rows` below `count` are rows of `snapshot`.
 */
export function encodeJson(
  snapshot: Snapshot,
  rows: Uint32Array,
  count: number,
  ageMs: number,
  target: Uint8Array,
  view: DataView,
): number {
  const { idWords, cellWords } = snapshot.views;
  const digits = DIGITS;
  const vettedCount = snapshot.vettedCount;
  let at = writeAscii(target, 0, `{"generation":${snapshot.generation},"ageMs":${ageMs},"nodes":[`);
  const start = at;
  for (let i = 0; i < count; i++) {
    const row = rows[i]!;
    view.setInt32(at, ID_0, true);
    view.setInt32(at + 4, ID_1, true);
    at += 7;
    const id = row * ID_WORDS;
    // Unrolled, because V8 does not.
    let value = 0;
    value = idWords[id]!;
    view.setInt32(at, digits[value & 0xff]! | (digits[(value >>> 8) & 0xff]! << 16), true);
    view.setInt32(at + 4, digits[(value >>> 16) & 0xff]! | (digits[value >>> 24]! << 16), true);
    value = idWords[id + 1]!;
    view.setInt32(at + 8, digits[value & 0xff]! | (digits[(value >>> 8) & 0xff]! << 16), true);
    view.setInt32(at + 12, digits[(value >>> 16) & 0xff]! | (digits[value >>> 24]! << 16), true);
    value = idWords[id + 2]!;
    view.setInt32(at + 16, digits[value & 0xff]! | (digits[(value >>> 8) & 0xff]! << 16), true);
    view.setInt32(at + 20, digits[(value >>> 16) & 0xff]! | (digits[value >>> 24]! << 16), true);
    value = idWords[id + 3]!;
    view.setInt32(at + 24, digits[value & 0xff]! | (digits[(value >>> 8) & 0xff]! << 16), true);
    view.setInt32(at + 28, digits[(value >>> 16) & 0xff]! | (digits[value >>> 24]! << 16), true);
    value = idWords[id + 4]!;
    view.setInt32(at + 32, digits[value & 0xff]! | (digits[(value >>> 8) & 0xff]! << 16), true);
    view.setInt32(at + 36, digits[(value >>> 16) & 0xff]! | (digits[value >>> 24]! << 16), true);
    value = idWords[id + 5]!;
    view.setInt32(at + 40, digits[value & 0xff]! | (digits[(value >>> 8) & 0xff]! << 16), true);
    view.setInt32(at + 44, digits[(value >>> 16) & 0xff]! | (digits[value >>> 24]! << 16), true);
    value = idWords[id + 6]!;
    view.setInt32(at + 48, digits[value & 0xff]! | (digits[(value >>> 8) & 0xff]! << 16), true);
    view.setInt32(at + 52, digits[(value >>> 16) & 0xff]! | (digits[value >>> 24]! << 16), true);
    value = idWords[id + 7]!;
    view.setInt32(at + 56, digits[value & 0xff]! | (digits[(value >>> 8) & 0xff]! << 16), true);
    view.setInt32(at + 60, digits[(value >>> 16) & 0xff]! | (digits[value >>> 24]! << 16), true);
    at += 64;
    view.setInt32(at, IP_0, true);
    view.setInt32(at + 4, IP_1, true);
    at += 8;
    const cell = row * CELL_WORDS;
    const textTail = cellWords[cell + 3]!;
    const textLength = textTail >>> 24;
    if (textLength !== 0) {
      view.setInt32(at, cellWords[cell]!, true);
      view.setInt32(at + 4, cellWords[cell + 1]!, true);
      view.setInt32(at + 8, cellWords[cell + 2]!, true);
      view.setInt32(at + 12, textTail, true);
      at += textLength;
    } else {
      at = writeWideAddress(snapshot, cellWords[cell]!, target, at);
    }
    view.setInt32(at, PORT_0, true);
    view.setInt32(at + 4, PORT_1, true);
    view.setInt32(at + 8, PORT_2, true);
    at += 9;
    const portTail = cellWords[cell + 5]!;
    view.setInt32(at, cellWords[cell + 4]!, true);
    view.setInt32(at + 4, portTail, true);
    at += (portTail >>> 8) & 0xff;
    view.setInt32(at, POOL_0, true);
    view.setInt32(at + 4, POOL_1, true);
    at += 8;
    if (row < vettedCount) {
      view.setInt32(at, VETTED_0, true);
      view.setInt32(at + 4, VETTED_1, true);
      view.setInt32(at + 8, VETTED_2, true);
      at += 10;
    } else {
      view.setInt32(at, NEW_0, true);
      view.setInt32(at + 4, NEW_1, true);
      at += 7;
    }
  }
  // The last element's comma goes.
  if (at > start) at--;
  target[at] = 93;
  target[at + 1] = 125;
  return at + 2;
}

/** Copies the text of wide address `number`; returns the index after it. */
export function writeWideAddress(snapshot: Snapshot, number: number, target: Uint8Array, at: number): number {
  const bytes = snapshot.views.wideAddressBytes;
  const from = number * WIDE_ADDRESS_BYTES;
  const length = bytes[from + WIDE_ADDRESS_LENGTH_BYTE]!;
  for (let i = 0; i < length; i++) target[at + i] = bytes[from + i]!;
  return at + length;
}

/** Writes ASCII text; returns the index after it. */
export function writeAscii(target: Uint8Array, at: number, text: string): number {
  for (let i = 0; i < text.length; i++) target[at + i] = text.charCodeAt(i);
  return at + text.length;
}
