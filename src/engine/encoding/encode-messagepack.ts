// @hotpath
/**
 * A selection as MessagePack: the document of encode-json.ts, with each id as 32 bytes (`bin`) instead of
 * hexadecimal text. No extension types. Integers take the shortest form that the format has for their width
 * below.
 */
import {
  ROW_ADDRESS_WORD,
  ROW_LONGS,
  ROW_PORT_WORD,
  ROW_TEXT_BYTE,
  ROW_TEXT_LENGTH_WORD,
  ROW_WORDS,
} from '../../../native-layout/snapshot-row.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { bytesLong, wideAddressLength, writeAscii, writeWideAddress } from './encode-bytes.ts';

const FIXMAP_3 = 0x83;
const FIXSTR = 0xa0;
const UINT32 = 0xce;
const FLOAT64 = 0xcb;
const STR8 = 0xd9;
const ARRAY32 = 0xdd;
const FIXSTR_LENGTH_MAX = 31;
const TEXT_LONG = ROW_TEXT_BYTE / 8;

/** Map head, `id` and its bytes, `ip` and its text, `port` and its number, `pool` and its name. */
const NODE_BYTES_MAX = 1 + 3 + 2 + 32 + 3 + 2 + 39 + 5 + 3 + 5 + 7;
const FRAME_BYTES_MAX = 64;

/** Bytes that a buffer needs to take `count` picks for certain. */
export function messagePackBytesMax(count: number): number {
  return FRAME_BYTES_MAX + count * NODE_BYTES_MAX;
}

/** Map of four; key and head of the bytes of the id. */
const ID = bytesLong('\x84\xa2id\xc4\x20');
const IP = bytesLong('\xa2ip');
/** Key, and head of a 16-bit integer. */
const PORT = bytesLong('\xa4port\xcd');
const POOL = bytesLong('\xa4pool');
const VETTED = bytesLong('\xa6vetted');
const NEW = bytesLong('\xa3new');

/** As `encodeJson`, into a buffer of at least `messagePackBytesMax(count)` bytes. */
export function encodeMessagePack(
  snapshot: Snapshot,
  rows: Uint32Array,
  count: number,
  ageMs: number,
  target: Uint8Array,
  view: DataView,
): number {
  const { rowWords, rowLongs } = snapshot.views;
  const vettedCount = snapshot.vettedCount;
  let at = writeHead(snapshot.generation, ageMs, count, target, view);
  for (let i = 0; i < count; i++) {
    const row = rows[i]!;
    view.setBigInt64(at, ID, true);
    at += 6;
    const word = row * ROW_WORDS;
    const long = row * ROW_LONGS;
    view.setBigInt64(at, rowLongs[long]!, true);
    view.setBigInt64(at + 8, rowLongs[long + 1]!, true);
    view.setBigInt64(at + 16, rowLongs[long + 2]!, true);
    view.setBigInt64(at + 24, rowLongs[long + 3]!, true);
    view.setBigInt64(at + 32, IP, true);
    at += 35;
    const textLength = rowWords[word + ROW_TEXT_LENGTH_WORD]! >>> 24;
    if (textLength !== 0) {
      target[at++] = FIXSTR + textLength;
      view.setBigInt64(at, rowLongs[long + TEXT_LONG]!, true);
      view.setBigInt64(at + 8, rowLongs[long + TEXT_LONG + 1]!, true);
      at += textLength;
    } else {
      at = writeWideText(snapshot, rowWords[word + ROW_ADDRESS_WORD]!, target, at);
    }
    view.setBigInt64(at, PORT, true);
    view.setInt16(at + 6, rowWords[word + ROW_PORT_WORD]! >>> 16, false);
    view.setBigInt64(at + 8, POOL, true);
    at += 13;
    if (row < vettedCount) {
      view.setBigInt64(at, VETTED, true);
      at += 7;
    } else {
      view.setBigInt64(at, NEW, true);
      at += 4;
    }
  }
  return at;
}

/** The text of a wide address with its head; returns the index after it. */
function writeWideText(snapshot: Snapshot, number: number, target: Uint8Array, at: number): number {
  const length = wideAddressLength(snapshot, number);
  if (length <= FIXSTR_LENGTH_MAX) {
    target[at] = FIXSTR + length;
    return writeWideAddress(snapshot, number, target, at + 1);
  }
  target[at] = STR8;
  target[at + 1] = length;
  return writeWideAddress(snapshot, number, target, at + 2);
}

/**
 * The map up to the elements of `nodes`. `ageMs` beyond 32 bits goes out as a double, which holds it exactly.
 */
function writeHead(
  generation: number,
  ageMs: number,
  count: number,
  target: Uint8Array,
  view: DataView,
): number {
  target[0] = FIXMAP_3;
  let at = writeKey(target, 1, 'generation');
  target[at] = UINT32;
  view.setUint32(at + 1, generation, false);
  at = writeKey(target, at + 5, 'ageMs');
  if (ageMs <= 0xffff_ffff) {
    target[at] = UINT32;
    view.setUint32(at + 1, ageMs, false);
    at += 5;
  } else {
    target[at] = FLOAT64;
    view.setFloat64(at + 1, ageMs, false);
    at += 9;
  }
  at = writeKey(target, at, 'nodes');
  target[at] = ARRAY32;
  view.setUint32(at + 1, count, false);
  return at + 5;
}

function writeKey(target: Uint8Array, at: number, key: string): number {
  target[at] = FIXSTR + key.length;
  return writeAscii(target, at + 1, key);
}
