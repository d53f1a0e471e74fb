/**
 * A selection as JSON:
 * `{"generation":7,"ageMs":1234,"nodes":[{"id":"…","ip":"…","port":28967,"pool":"vetted"},…]}`.
 * Plain twin of native-layout/kernel/encode-json.ts.
 */
import { JSON_TEXT } from '../../../native-layout/answer-text.ts';
import {
  ID_BYTES,
  ROW_BYTES,
  ROW_PORT_TEXT_BYTE,
  ROW_PORT_TEXT_LENGTH_BYTE,
} from '../../../native-layout/snapshot-row.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { addressText, writeAscii, writeBytes } from './encode-bytes.ts';

/** Bytes of the longest element, `{"id":"<64>","ip":"<39>","port":65535,"pool":"vetted"},`. */
const NODE_BYTES_MAX = 7 + 64 + 8 + 39 + 9 + 5 + 18 + 1;
/** `{"generation":<10>,"ageMs":<16>,"nodes":[` and `]}`. */
const FRAME_BYTES_MAX = 80;
const HEX_DIGITS = '0123456789abcdef';

/** Bytes that a buffer needs to take `count` picks for certain. */
export function jsonBytesMax(count: number): number {
  return FRAME_BYTES_MAX + count * NODE_BYTES_MAX;
}

/**
 * Writes the answer to `target` and returns its length in bytes; `target` has at least `jsonBytesMax(count)`
 * of them. Rows of `rows` below `count` are rows of `snapshot`.
 */
export function encodeJson(
  snapshot: Snapshot,
  rows: Uint32Array,
  count: number,
  ageMs: number,
  target: Uint8Array,
): number {
  let at = writeAscii(target, 0, `${JSON_TEXT.GENERATION}${snapshot.generation}`);
  at = writeAscii(target, at, `${JSON_TEXT.AGE}${ageMs}${JSON_TEXT.NODES}`);
  for (let i = 0; i < count; i++) at = writeNode(snapshot, rows[i]!, target, at);
  // The last element's comma goes.
  if (count > 0) at--;
  return writeAscii(target, at, JSON_TEXT.END);
}

function writeNode(snapshot: Snapshot, row: number, target: Uint8Array, start: number): number {
  const { views, vettedCount } = snapshot;
  const from = row * ROW_BYTES;
  const address = addressText(views, row);
  let at = writeAscii(target, start, JSON_TEXT.ID);
  at = writeHex(target, at, views.rowBytes, from);
  at = writeAscii(target, at, JSON_TEXT.IP);
  at = writeBytes(target, at, address.bytes, address.from, address.length);
  at = writeAscii(target, at, JSON_TEXT.PORT);
  const digits = views.rowBytes[from + ROW_PORT_TEXT_LENGTH_BYTE]!;
  at = writeBytes(target, at, views.rowBytes, from + ROW_PORT_TEXT_BYTE, digits);
  at = writeAscii(target, at, JSON_TEXT.POOL);
  return writeAscii(target, at, row < vettedCount ? JSON_TEXT.VETTED : JSON_TEXT.NEW);
}

/** Writes the digits of the id at `from`; returns the index after them. */
function writeHex(target: Uint8Array, start: number, bytes: Uint8Array, from: number): number {
  let at = start;
  for (let i = from; i < from + ID_BYTES; i++) {
    target[at++] = HEX_DIGITS.charCodeAt(bytes[i]! >>> 4);
    target[at++] = HEX_DIGITS.charCodeAt(bytes[i]! & 15);
  }
  return at;
}
