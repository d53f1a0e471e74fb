/**
 * A selection as MessagePack: the document of encode-json.ts, with each id as 32 bytes (`bin`) instead of
 * hexadecimal text. No extension types. Integers take the shortest form that the format has for their width
 * below. Plain twin of native-layout/kernel/encode-messagepack.ts.
 */
import {
  MESSAGEPACK_FIXSTR,
  MESSAGEPACK_FIXSTR_LENGTH_MAX,
  MESSAGEPACK_FLOAT64,
  MESSAGEPACK_STR8,
  MESSAGEPACK_TEXT,
  MESSAGEPACK_UINT32,
} from '../../../native-layout/answer-text.ts';
import { ID_BYTES, ROW_BYTES, ROW_PORT_WORD, ROW_WORDS } from '../../../native-layout/snapshot-row.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { type AddressText, addressText, writeAscii, writeBigEndian, writeBytes } from './encode-bytes.ts';

/** Map head, `id` and its bytes, `ip` and its text, `port` and its number, `pool` and its name. */
const NODE_BYTES_MAX = 1 + 3 + 2 + 32 + 3 + 2 + 39 + 5 + 3 + 5 + 7;
const FRAME_BYTES_MAX = 64;

/** Bytes that a buffer needs to take `count` picks for certain. */
export function messagePackBytesMax(count: number): number {
  return FRAME_BYTES_MAX + count * NODE_BYTES_MAX;
}

/** As `encodeJson`, into a buffer of at least `messagePackBytesMax(count)` bytes. */
export function encodeMessagePack(
  snapshot: Snapshot,
  rows: Uint32Array,
  count: number,
  ageMs: number,
  target: Uint8Array,
): number {
  let at = writeAscii(target, 0, MESSAGEPACK_TEXT.GENERATION);
  at = writeBigEndian(target, at, snapshot.generation, 4);
  at = writeAscii(target, at, MESSAGEPACK_TEXT.AGE);
  at = writeAge(target, at, ageMs);
  at = writeAscii(target, at, MESSAGEPACK_TEXT.NODES);
  at = writeBigEndian(target, at, count, 4);
  for (let i = 0; i < count; i++) at = writeNode(snapshot, rows[i]!, target, at);
  return at;
}

function writeNode(snapshot: Snapshot, row: number, target: Uint8Array, start: number): number {
  const { views, vettedCount } = snapshot;
  let at = writeAscii(target, start, MESSAGEPACK_TEXT.ID);
  at = writeBytes(target, at, views.rowBytes, row * ROW_BYTES, ID_BYTES);
  at = writeAscii(target, at, MESSAGEPACK_TEXT.IP);
  at = writeText(target, at, addressText(views, row));
  at = writeAscii(target, at, MESSAGEPACK_TEXT.PORT);
  at = writeBigEndian(target, at, views.rowWords[row * ROW_WORDS + ROW_PORT_WORD]! >>> 16, 2);
  at = writeAscii(target, at, MESSAGEPACK_TEXT.POOL);
  return writeAscii(target, at, row < vettedCount ? MESSAGEPACK_TEXT.VETTED : MESSAGEPACK_TEXT.NEW);
}

function writeText(target: Uint8Array, start: number, { bytes, from, length }: AddressText): number {
  let at = start;
  if (length <= MESSAGEPACK_FIXSTR_LENGTH_MAX) {
    target[at++] = MESSAGEPACK_FIXSTR + length;
  } else {
    target[at++] = MESSAGEPACK_STR8;
    target[at++] = length;
  }
  return writeBytes(target, at, bytes, from, length);
}

/** Beyond 32 bits as a double, which holds it exactly. */
function writeAge(target: Uint8Array, at: number, ageMs: number): number {
  if (ageMs <= 0xffff_ffff) {
    target[at] = MESSAGEPACK_UINT32;
    return writeBigEndian(target, at + 1, ageMs, 4);
  }
  target[at] = MESSAGEPACK_FLOAT64;
  new DataView(target.buffer, target.byteOffset).setFloat64(at + 1, ageMs, false);
  return at + 9;
}
