// @hotpath
/**
 * A selection as MessagePack: the document of encode-json.ts, with each id as 32 bytes (`bin`) instead of hexadecimal
 * text. No extension types. Integers take the shortest form that the format has for their width below.
 */
import {
  CELL_WORDS,
  WIDE_ADDRESS_BYTES,
  WIDE_ADDRESS_LENGTH_BYTE,
} from '../../native-layout/address-cell.ts';
import { writeAscii, writeWideAddress } from './encode-json.ts';
import { ID_WORDS } from './node-id.ts';
import type { Snapshot } from './snapshot.ts';

const FIXMAP_3 = 0x83;
const FIXMAP_4 = 0x84;
const FIXSTR = 0xa0;
const BIN8 = 0xc4;
const UINT16 = 0xcd;
const UINT32 = 0xce;
const FLOAT64 = 0xcb;
const STR8 = 0xd9;
const ARRAY32 = 0xdd;
const ID_BYTES = 32;
const FIXSTR_LENGTH_MAX = 31;

/** Map head, `id` and its bytes, `ip` and its text, `port` and its number, `pool` and its name. */
const NODE_BYTES_MAX = 1 + 3 + 2 + 32 + 3 + 2 + 39 + 5 + 3 + 5 + 7;
const FRAME_BYTES_MAX = 64;

/** Bytes that a buffer needs to take `count` picks for certain. */
export function messagePackBytesMax(count: number): number {
  return FRAME_BYTES_MAX + count * NODE_BYTES_MAX;
}

/** Bytes of a text with its head, as little-endian words padded with zeros. */
function words(...bytes: (number | string)[]): number[] {
  const flat = bytes.flatMap(part =>
    typeof part === 'number' ? [part] : [...part].map(c => c.charCodeAt(0)),
  );
  const result: number[] = [];
  for (let i = 0; i < flat.length; i += 4) {
    result.push(
      (flat[i] ?? 0) | ((flat[i + 1] ?? 0) << 8) | ((flat[i + 2] ?? 0) << 16) | ((flat[i + 3] ?? 0) << 24),
    );
  }
  return result;
}

const [ID_0, ID_1] = words(FIXMAP_4, FIXSTR + 2, 'id', BIN8, ID_BYTES) as [number, number];
const [IP_0] = words(FIXSTR + 2, 'ip') as [number];
const [PORT_0, PORT_1] = words(FIXSTR + 4, 'port', UINT16) as [number, number];
const [POOL_0, POOL_1] = words(FIXSTR + 4, 'pool') as [number, number];
const [VETTED_0, VETTED_1] = words(FIXSTR + 6, 'vetted') as [number, number];
const [NEW_0] = words(FIXSTR + 3, 'new') as [number];

/** As `encodeJson`, into a buffer of at least `messagePackBytesMax(count)` bytes. */
export function encodeMessagePack(
  snapshot: Snapshot,
  rows: Uint32Array,
  count: number,
  ageMs: number,
  target: Uint8Array,
  view: DataView,
): number {
  const { idWords, cellWords, wideAddressBytes } = snapshot.views;
  const vettedCount = snapshot.vettedCount;
  let at = writeHead(snapshot.generation, ageMs, count, target, view);
  for (let i = 0; i < count; i++) {
    const row = rows[i]!;
    view.setInt32(at, ID_0, true);
    view.setInt32(at + 4, ID_1, true);
    at += 6;
    const id = row * ID_WORDS;
    for (let j = id; j < id + ID_WORDS; j++, at += 4) view.setInt32(at, idWords[j]!, true);
    view.setInt32(at, IP_0, true);
    at += 3;
    const cell = row * CELL_WORDS;
    const textTail = cellWords[cell + 3]!;
    const textLength = textTail >>> 24;
    if (textLength !== 0) {
      target[at++] = FIXSTR + textLength;
      view.setInt32(at, cellWords[cell]!, true);
      view.setInt32(at + 4, cellWords[cell + 1]!, true);
      view.setInt32(at + 8, cellWords[cell + 2]!, true);
      view.setInt32(at + 12, textTail, true);
      at += textLength;
    } else {
      const wide = cellWords[cell]!;
      const length = wideAddressBytes[wide * WIDE_ADDRESS_BYTES + WIDE_ADDRESS_LENGTH_BYTE]!;
      if (length <= FIXSTR_LENGTH_MAX) {
        target[at++] = FIXSTR + length;
      } else {
        target[at] = STR8;
        target[at + 1] = length;
        at += 2;
      }
      at = writeWideAddress(snapshot, wide, target, at);
    }
    view.setInt32(at, PORT_0, true);
    view.setInt32(at + 4, PORT_1, true);
    view.setInt16(at + 6, cellWords[cell + 5]! >>> 16, false);
    view.setInt32(at + 8, POOL_0, true);
    view.setInt32(at + 12, POOL_1, true);
    at += 13;
    if (row < vettedCount) {
      view.setInt32(at, VETTED_0, true);
      view.setInt32(at + 4, VETTED_1, true);
      at += 7;
    } else {
      view.setInt32(at, NEW_0, true);
      at += 4;
    }
  }
  return at;
}

/** The map up to the elements of `nodes`. `ageMs` beyond 32 bits goes out as a double, which holds it exactly. */
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
