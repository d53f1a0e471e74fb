/** The picks as MessagePack. The plain twin is src/engine/encoding/encode-messagepack.ts. */
import {
  HEADER_WORD_GENERATION,
  HEADER_WORD_VETTED,
  KERNEL_WORD_PICKED,
  KERNEL_WORD_PICKS,
  KERNEL_WORD_ROW,
  MESSAGEPACK_AGE_LENGTH,
  MESSAGEPACK_AGE_LOW,
  MESSAGEPACK_FIXSTR,
  MESSAGEPACK_FIXSTR_LENGTH_MAX,
  MESSAGEPACK_FLOAT64,
  MESSAGEPACK_GENERATION_HIGH,
  MESSAGEPACK_GENERATION_LENGTH,
  MESSAGEPACK_GENERATION_LOW,
  MESSAGEPACK_ID_LENGTH,
  MESSAGEPACK_ID_LOW,
  MESSAGEPACK_IP_LENGTH,
  MESSAGEPACK_IP_LOW,
  MESSAGEPACK_NEW_LENGTH,
  MESSAGEPACK_NEW_LOW,
  MESSAGEPACK_NODES_LENGTH,
  MESSAGEPACK_NODES_LOW,
  MESSAGEPACK_POOL_LENGTH,
  MESSAGEPACK_POOL_LOW,
  MESSAGEPACK_PORT_LENGTH,
  MESSAGEPACK_PORT_LOW,
  MESSAGEPACK_STR8,
  MESSAGEPACK_UINT32,
  MESSAGEPACK_VETTED_LENGTH,
  MESSAGEPACK_VETTED_LOW,
  ROW_BYTES,
  ROW_PORT_BYTE,
  ROW_TEXT_BYTE,
} from './constants';
import { directory, header } from './directory';
import { load16, load128 } from './slot';
import { wideAddressOf, wideTextLength, writeWideText } from './text';

/** As `encodeJson`. */
export function encodeMessagePack(target: u32, ageMs: f64): u32 {
  const picks = directory(KERNEL_WORD_PICKS);
  const count = directory(KERNEL_WORD_PICKED);
  const rows = directory(KERNEL_WORD_ROW);
  const vettedEnd = rows + header(HEADER_WORD_VETTED) * ROW_BYTES;
  let at = writeHead(target, header(HEADER_WORD_GENERATION), ageMs, count);
  for (let pick = picks; pick < picks + (count << 2); pick += 4) {
    const row = rows + load<u32>(pick) * ROW_BYTES;
    at = writeNode(at, row, row < vettedEnd);
  }
  return at - target;
}

function writeNode(to: u32, row: u32, vetted: bool): u32 {
  store<u64>(to, MESSAGEPACK_ID_LOW);
  let at = to + MESSAGEPACK_ID_LENGTH;
  v128.store(at, load128(row));
  v128.store(at, load128(row + 16), 16);
  store<u32>(at, <u32>MESSAGEPACK_IP_LOW, 32);
  at += 32 + MESSAGEPACK_IP_LENGTH;
  const address = load128(row + ROW_TEXT_BYTE);
  const length = i8x16.extract_lane_u(address, 15);
  store<u8>(at, <u8>(MESSAGEPACK_FIXSTR + length));
  v128.store(at, address, 1);
  at = length !== 0 ? at + 1 + length : writeWide(at, wideAddressOf(row));
  store<u64>(at, MESSAGEPACK_PORT_LOW);
  at += MESSAGEPACK_PORT_LENGTH;
  store<u16>(at, bswap<u16>(<u16>load16(row + ROW_PORT_BYTE)));
  store<u64>(at, MESSAGEPACK_POOL_LOW, 2);
  at += 2 + MESSAGEPACK_POOL_LENGTH;
  store<u64>(at, vetted ? MESSAGEPACK_VETTED_LOW : MESSAGEPACK_NEW_LOW);
  return at + (vetted ? MESSAGEPACK_VETTED_LENGTH : MESSAGEPACK_NEW_LENGTH);
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
  store<u64>(target, MESSAGEPACK_GENERATION_LOW);
  store<u64>(target, MESSAGEPACK_GENERATION_HIGH, 8);
  let at = target + MESSAGEPACK_GENERATION_LENGTH;
  store<u32>(at, bswap<u32>(generation));
  store<u64>(at, MESSAGEPACK_AGE_LOW, 4);
  at = writeAge(at + 4 + MESSAGEPACK_AGE_LENGTH, ageMs);
  store<u64>(at, MESSAGEPACK_NODES_LOW);
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
