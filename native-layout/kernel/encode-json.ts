/**
 * The picks as JSON. Texts go out in whole vectors, and each overruns what it is about: the next one is
 * written over the overrun. The plain twin is src/engine/encoding/encode-json.ts.
 */
import {
  HEADER_WORD_GENERATION,
  HEADER_WORD_VETTED,
  JSON_AGE_HIGH,
  JSON_AGE_LENGTH,
  JSON_AGE_LOW,
  JSON_END_LENGTH,
  JSON_END_LOW,
  JSON_GENERATION_HIGH,
  JSON_GENERATION_LENGTH,
  JSON_GENERATION_LOW,
  JSON_ID_LENGTH,
  JSON_ID_LOW,
  JSON_IP_LENGTH,
  JSON_IP_LOW,
  JSON_NEW_LENGTH,
  JSON_NEW_LOW,
  JSON_NODES_HIGH,
  JSON_NODES_LENGTH,
  JSON_NODES_LOW,
  JSON_POOL_HIGH,
  JSON_POOL_LENGTH,
  JSON_POOL_LOW,
  JSON_PORT_HIGH,
  JSON_PORT_LENGTH,
  JSON_PORT_LOW,
  JSON_VETTED_HIGH,
  JSON_VETTED_LENGTH,
  JSON_VETTED_LOW,
  KERNEL_WORD_PICKED,
  KERNEL_WORD_PICKS,
  KERNEL_WORD_ROW,
  ROW_BYTES,
  ROW_PORT_TEXT_BYTE,
  ROW_TEXT_BYTE,
} from './constants';
import { directory, header } from './directory';
import { load64, load128 } from './slot';
import { wideAddressOf, writeDecimal, writeHex, writeWideText } from './text';

/** Writes the answer to `target` in the private memory; returns its length in bytes. */
export function encodeJson(target: u32, ageMs: f64): u32 {
  const picks = directory(KERNEL_WORD_PICKS);
  const end = picks + (directory(KERNEL_WORD_PICKED) << 2);
  const rows = directory(KERNEL_WORD_ROW);
  const vettedEnd = rows + header(HEADER_WORD_VETTED) * ROW_BYTES;
  const start = writeHead(target, header(HEADER_WORD_GENERATION), <u64>ageMs);
  let at = start;
  for (let pick = picks; pick < end; pick += 4) {
    const row = rows + load<u32>(pick) * ROW_BYTES;
    at = writeNode(at, row, row < vettedEnd);
  }
  // The last element's comma goes.
  if (at > start) at--;
  store<u16>(at, JSON_END_LOW);
  return at + JSON_END_LENGTH - target;
}

function writeNode(to: u32, row: u32, vetted: bool): u32 {
  store<u64>(to, JSON_ID_LOW);
  writeHex(to + JSON_ID_LENGTH, load128(row), load128(row + 16));
  let at = to + JSON_ID_LENGTH + 64;
  store<u64>(at, JSON_IP_LOW);
  at += JSON_IP_LENGTH;
  const address = load128(row + ROW_TEXT_BYTE);
  v128.store(at, address);
  const length = i8x16.extract_lane_u(address, 15);
  at = length !== 0 ? at + length : writeWideText(at, wideAddressOf(row));
  store<u64>(at, JSON_PORT_LOW);
  store<u64>(at, JSON_PORT_HIGH, 8);
  at += JSON_PORT_LENGTH;
  const port = load64(row + ROW_PORT_TEXT_BYTE);
  store<u64>(at, port);
  at += <u32>(port >> 40) & 0xff;
  store<u64>(at, JSON_POOL_LOW);
  store<u64>(at, JSON_POOL_HIGH, 8);
  at += JSON_POOL_LENGTH;
  store<u64>(at, vetted ? JSON_VETTED_LOW : JSON_NEW_LOW);
  store<u8>(at, <u8>JSON_VETTED_HIGH, 8);
  return at + (vetted ? JSON_VETTED_LENGTH : JSON_NEW_LENGTH);
}

function writeHead(target: u32, generation: u32, ageMs: u64): u32 {
  store<u64>(target, JSON_GENERATION_LOW);
  store<u64>(target, JSON_GENERATION_HIGH, 8);
  let at = writeDecimal(target + JSON_GENERATION_LENGTH, generation);
  store<u64>(at, JSON_AGE_LOW);
  store<u64>(at, JSON_AGE_HIGH, 8);
  at = writeDecimal(at + JSON_AGE_LENGTH, ageMs);
  store<u64>(at, JSON_NODES_LOW);
  store<u64>(at, JSON_NODES_HIGH, 8);
  return at + JSON_NODES_LENGTH;
}
