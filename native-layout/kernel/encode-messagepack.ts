/** The picks as MessagePack. The plain twin is src/engine/encoding/encode-messagepack.ts. */
import {
  HEADER_WORD_GENERATION,
  HEADER_WORD_VETTED,
  ID_BYTES,
  KERNEL_WORD_PICKED,
  KERNEL_WORD_PICKS,
  KERNEL_WORD_ROW,
  MESSAGEPACK_AGE,
  MESSAGEPACK_AGE_LENGTH,
  MESSAGEPACK_FIXSTR,
  MESSAGEPACK_FIXSTR_LENGTH_MAX,
  MESSAGEPACK_FLOAT64,
  MESSAGEPACK_GENERATION,
  MESSAGEPACK_GENERATION_LENGTH,
  MESSAGEPACK_ID,
  MESSAGEPACK_ID_LENGTH,
  MESSAGEPACK_IP,
  MESSAGEPACK_IP_LENGTH,
  MESSAGEPACK_NEW_ID,
  MESSAGEPACK_NEW_ID_LENGTH,
  MESSAGEPACK_NODES,
  MESSAGEPACK_NODES_LENGTH,
  MESSAGEPACK_POOL,
  MESSAGEPACK_POOL_LENGTH,
  MESSAGEPACK_PORT,
  MESSAGEPACK_PORT_LENGTH,
  MESSAGEPACK_STR8,
  MESSAGEPACK_UINT32,
  MESSAGEPACK_VETTED_ID,
  MESSAGEPACK_VETTED_ID_LENGTH,
  ROW_BYTES,
  ROW_PORT_BYTE,
  ROW_TEXT_BYTE,
  ROW_TEXT_LENGTH_BYTE,
} from './constants';
import { directory, header } from './directory';
import { fetchRows } from './fetch-rows';
import { load8, load16, load128 } from './slot';
import { wideAddressOf, wideTextLength, writeVector, writeWideText } from './text';

/** As `encodeJson`. */
export function encodeMessagePack(target: u32, ageMs: f64): u32 {
  const picks = directory(KERNEL_WORD_PICKS);
  const count = directory(KERNEL_WORD_PICKED);
  const rows = directory(KERNEL_WORD_ROW);
  const vettedEnd = rows + header(HEADER_WORD_VETTED) * ROW_BYTES;
  let at = writeHead(target, header(HEADER_WORD_GENERATION), ageMs, count);
  if (count === 0) return at - target;
  fetchRows(picks, count);
  writeVector(at, MESSAGEPACK_ID);
  at += MESSAGEPACK_ID_LENGTH;
  for (let pick = picks; pick < picks + (count << 2); pick += 4) {
    const row = rows + load<u32>(pick) * ROW_BYTES;
    at = writeNode(at, row, row < vettedEnd);
  }
  // Behind the last node there is no next one.
  return at - MESSAGEPACK_ID_LENGTH - target;
}

/** Writes a node from its id on, and the beginning of the next node; returns the place of that one's id. */
function writeNode(id: u32, row: u32, vetted: bool): u32 {
  v128.store(id, load128(row));
  v128.store(id, load128(row + 16), 16);
  let at = id + ID_BYTES;
  store<u32>(at, load<u32>(MESSAGEPACK_IP));
  at += MESSAGEPACK_IP_LENGTH;
  const length = load8(row + ROW_TEXT_LENGTH_BYTE);
  store<u8>(at, <u8>(MESSAGEPACK_FIXSTR + length));
  v128.store(at, load128(row + ROW_TEXT_BYTE), 1);
  at = length !== 0 ? at + 1 + length : writeWide(at, wideAddressOf(row));
  store<u64>(at, load<u64>(MESSAGEPACK_PORT));
  at += MESSAGEPACK_PORT_LENGTH;
  store<u16>(at, bswap<u16>(<u16>load16(row + ROW_PORT_BYTE)));
  store<u64>(at, load<u64>(MESSAGEPACK_POOL), 2);
  at += 2 + MESSAGEPACK_POOL_LENGTH;
  writeVector(at, vetted ? MESSAGEPACK_VETTED_ID : MESSAGEPACK_NEW_ID);
  return at + (vetted ? MESSAGEPACK_VETTED_ID_LENGTH : MESSAGEPACK_NEW_ID_LENGTH);
}

/** The text of a wide address with its head; returns the place behind it. */
function writeWide(at: u32, wide: u32): u32 {
  const length = wideTextLength(wide);
  if (length <= MESSAGEPACK_FIXSTR_LENGTH_MAX) {
    store<u8>(at, <u8>(MESSAGEPACK_FIXSTR + length));
    return writeWideText(at + 1, wide);
  }
  store<u8>(at, MESSAGEPACK_STR8);
  store<u8>(at, <u8>length, 1);
  return writeWideText(at + 2, wide);
}

function writeHead(target: u32, generation: u32, ageMs: f64, count: u32): u32 {
  writeVector(target, MESSAGEPACK_GENERATION);
  let at = target + MESSAGEPACK_GENERATION_LENGTH;
  store<u32>(at, bswap<u32>(generation));
  writeVector(at + 4, MESSAGEPACK_AGE);
  at = writeAge(at + 4 + MESSAGEPACK_AGE_LENGTH, ageMs);
  writeVector(at, MESSAGEPACK_NODES);
  at += MESSAGEPACK_NODES_LENGTH;
  store<u32>(at, bswap<u32>(count));
  return at + 4;
}

/** Beyond 32 bits as a double, which holds it exactly. */
function writeAge(at: u32, ageMs: f64): u32 {
  if (ageMs <= <f64>u32.MAX_VALUE) {
    store<u8>(at, MESSAGEPACK_UINT32);
    store<u32>(at, bswap<u32>(<u32>ageMs), 1);
    return at + 5;
  }
  store<u8>(at, MESSAGEPACK_FLOAT64);
  store<u64>(at, bswap<u64>(reinterpret<u64>(ageMs)), 1);
  return at + 9;
}
