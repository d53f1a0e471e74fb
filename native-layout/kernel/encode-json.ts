/**
 * The picks as JSON. Texts go out in whole vectors, and each overruns what it is about: the next one is
 * written over the overrun. The plain twin is src/engine/encoding/encode-json.ts.
 */
import {
  HEADER_WORD_GENERATION,
  HEADER_WORD_VETTED,
  JSON_AGE,
  JSON_AGE_LENGTH,
  JSON_END,
  JSON_END_LENGTH,
  JSON_GENERATION,
  JSON_GENERATION_LENGTH,
  JSON_ID,
  JSON_ID_LENGTH,
  JSON_IP,
  JSON_IP_LENGTH,
  JSON_NEW_ID,
  JSON_NEW_ID_LENGTH,
  JSON_NODES,
  JSON_NODES_LENGTH,
  JSON_POOL,
  JSON_POOL_LENGTH,
  JSON_PORT,
  JSON_PORT_LENGTH,
  JSON_VETTED_ID,
  JSON_VETTED_ID_LENGTH,
  KERNEL_WORD_PICKED,
  KERNEL_WORD_PICKS,
  KERNEL_WORD_ROW,
  ROW_BYTES,
  ROW_PORT_TEXT_BYTE,
  ROW_PORT_TEXT_BYTES,
  ROW_TEXT_BYTE,
  ROW_TEXT_LENGTH_BYTE,
} from './constants';
import { directory, header } from './directory';
import { fetchRows, keep } from './fetch-rows';
import { load8, load64, load128 } from './slot';
import { wideAddressOf, writeDecimal, writeHex, writeVector, writeWideText } from './text';

const ID_DIGITS: u32 = 64;
/**
 * A row is touched so many picks before it is encoded: out of the second-level cache it comes in about the
 * time that a node takes. 10% of the answer.
 */
const PICKS_AHEAD: u32 = 16;

/** Writes the answer to `target` in the private memory; returns its length in bytes. */
export function encodeJson(target: u32, ageMs: f64): u32 {
  const picks = directory(KERNEL_WORD_PICKS);
  const end = picks + (directory(KERNEL_WORD_PICKED) << 2);
  const rows = directory(KERNEL_WORD_ROW);
  const vettedEnd = rows + header(HEADER_WORD_VETTED) * ROW_BYTES;
  let at = writeHead(target, header(HEADER_WORD_GENERATION), <u64>ageMs);
  if (picks < end) {
    fetchRows(picks, (end - picks) >> 2);
    writeVector(at, JSON_ID);
    at += JSON_ID_LENGTH;
    let ahead: u32 = 0;
    for (let pick = picks; pick < end; pick += 4) {
      // Beyond the last pick stand old ones, or zeros: rows as well.
      ahead += load8(rows + load<u32>(pick + 4 * PICKS_AHEAD) * ROW_BYTES);
      const row = rows + load<u32>(pick) * ROW_BYTES;
      at = writeNode(at, row, row < vettedEnd);
    }
    keep(ahead);
    // Behind the last node there is no comma and no next one.
    at -= 1 + JSON_ID_LENGTH;
  }
  writeVector(at, JSON_END);
  return at + JSON_END_LENGTH - target;
}

/** Writes a node from its id on, and the beginning of the next node; returns the place of that one's id. */
function writeNode(id: u32, row: u32, vetted: bool): u32 {
  writeHex(id, load128(row), load128(row + 16));
  let at = id + ID_DIGITS;
  writeVector(at, JSON_IP);
  at += JSON_IP_LENGTH;
  v128.store(at, load128(row + ROW_TEXT_BYTE));
  const length = load8(row + ROW_TEXT_LENGTH_BYTE);
  at = length !== 0 ? at + length : writeWideText(at, wideAddressOf(row));
  writeVector(at, JSON_PORT);
  at += JSON_PORT_LENGTH;
  const port = load64(row + ROW_PORT_TEXT_BYTE);
  store<u64>(at, port);
  at += <u32>(port >> (8 * ROW_PORT_TEXT_BYTES)) & 0xff;
  writeVector(at, JSON_POOL);
  at += JSON_POOL_LENGTH;
  writeVector(at, vetted ? JSON_VETTED_ID : JSON_NEW_ID);
  return at + (vetted ? JSON_VETTED_ID_LENGTH : JSON_NEW_ID_LENGTH);
}

function writeHead(target: u32, generation: u32, ageMs: u64): u32 {
  writeVector(target, JSON_GENERATION);
  let at = writeDecimal(target + JSON_GENERATION_LENGTH, generation);
  writeVector(at, JSON_AGE);
  at = writeDecimal(at + JSON_AGE_LENGTH, ageMs);
  writeVector(at, JSON_NODES);
  return at + JSON_NODES_LENGTH;
}
