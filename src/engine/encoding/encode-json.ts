// @hotpath
/**
 * A selection as JSON:
 * `{"generation":7,"ageMs":1234,"nodes":[{"id":"…","ip":"…","port":28967,"pool":"vetted"},…]}`. Constants,
 * ids and texts go out as 64-bit integers at any offset; one may overrun its text, because the next one is
 * written over the overrun. Hence the slack at the end of the buffer.
 */
import {
  ROW_ADDRESS_WORD,
  ROW_LONGS,
  ROW_PORT_TEXT_BYTE,
  ROW_PORT_WORD,
  ROW_TEXT_BYTE,
  ROW_TEXT_LENGTH_WORD,
  ROW_WORDS,
} from '../../../native-layout/snapshot-row.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { bytesLong, writeAscii, writeWideAddress } from './encode-bytes.ts';

/** Bytes of the longest element, `{"id":"<64>","ip":"<39>","port":65535,"pool":"vetted"},`. */
const NODE_BYTES_MAX = 7 + 64 + 8 + 39 + 9 + 5 + 18 + 1;
/** `{"generation":<10>,"ageMs":<16>,"nodes":[` and `]}`, and the overrun of the last word. */
const FRAME_BYTES_MAX = 80;
const TEXT_LONG = ROW_TEXT_BYTE / 8;
const PORT_TEXT_LONG = ROW_PORT_TEXT_BYTE / 8;

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

const ID = bytesLong('{"id":"');
const IP = bytesLong('","ip":"');
const PORT = bytesLong('","port"');
const COLON = 58;
const POOL = bytesLong(',"pool":');
const VETTED = bytesLong('"vetted"');
/** `},` */
const END = 0x2c7d;
const NEW = bytesLong('"new"},');

/**
 * Writes the answer to `target` and returns its length in bytes. `view` covers the same bytes as `target`,
 * which has at least `jsonBytesMax(count)` of them. Rows of `rows` below `count` are rows of `snapshot`.
 */
export function encodeJson(
  snapshot: Snapshot,
  rows: Uint32Array,
  count: number,
  ageMs: number,
  target: Uint8Array,
  view: DataView,
): number {
  const { rowWords, rowLongs } = snapshot.views;
  const vettedCount = snapshot.vettedCount;
  let at = writeAscii(target, 0, `{"generation":${snapshot.generation},"ageMs":${ageMs},"nodes":[`);
  const start = at;
  for (let i = 0; i < count; i++) {
    const row = rows[i]!;
    view.setBigInt64(at, ID, true);
    at += 7;
    const word = row * ROW_WORDS;
    writeId(view, at, rowWords, word);
    at += 64;
    view.setBigInt64(at, IP, true);
    at += 8;
    const long = row * ROW_LONGS;
    const textLength = rowWords[word + ROW_TEXT_LENGTH_WORD]! >>> 24;
    if (textLength !== 0) {
      view.setBigInt64(at, rowLongs[long + TEXT_LONG]!, true);
      view.setBigInt64(at + 8, rowLongs[long + TEXT_LONG + 1]!, true);
      at += textLength;
    } else {
      at = writeWideAddress(snapshot, rowWords[word + ROW_ADDRESS_WORD]!, target, at);
    }
    view.setBigInt64(at, PORT, true);
    target[at + 8] = COLON;
    at += 9;
    view.setBigInt64(at, rowLongs[long + PORT_TEXT_LONG]!, true);
    at += (rowWords[word + ROW_PORT_WORD]! >>> 8) & 0xff;
    view.setBigInt64(at, POOL, true);
    at += 8;
    if (row < vettedCount) {
      view.setBigInt64(at, VETTED, true);
      view.setInt16(at + 8, END, true);
      at += 10;
    } else {
      view.setBigInt64(at, NEW, true);
      at += 7;
    }
  }
  // The last element's comma goes.
  if (at > start) at--;
  target[at] = 93;
  target[at + 1] = 125;
  return at + 2;
}

/** The 64 digits of the id at index `id`. Unrolled, because V8 does not. */
function writeId(view: DataView, at: number, idWords: Uint32Array, id: number): void {
  const digits = DIGITS;
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
}
