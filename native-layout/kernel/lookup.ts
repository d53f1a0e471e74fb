/**
 * The id index: its keyed hash over vectors, and the search. The plain twin is
 * src/engine/snapshot/id-index.ts.
 */
import {
  HEADER_WORD_INDEX_ENTRIES,
  HEADER_WORD_INDEX_SEED,
  ID_BYTES,
  ID_HASH_CHAIN,
  ID_HASH_KEY_STEP,
  ID_HASH_MIX_FIRST,
  ID_HASH_MIX_SECOND,
  KERNEL_WORD_BLOCKED_ROWS,
  KERNEL_WORD_ID_INDEX,
  KERNEL_WORD_IDS,
  KERNEL_WORD_INDEX_KEYS,
  KERNEL_WORD_INDEX_SEED,
  KERNEL_WORD_ROW,
  ROW_BYTES,
} from './constants';
import { directory, header, setDirectory } from './directory';
import { keep } from './fetch-rows';
import { load32, load128 } from './slot';

export const NO_ROW: u32 = 0xffff_ffff;

/** Ids that are looked up together. */
const TOGETHER: u32 = 128;

const CHAIN_2: u32 = ID_HASH_CHAIN * ID_HASH_CHAIN;
const CHAIN_3: u32 = CHAIN_2 * ID_HASH_CHAIN;
const CHAIN_4: u32 = CHAIN_3 * ID_HASH_CHAIN;
const CHAIN_5: u32 = CHAIN_4 * ID_HASH_CHAIN;
const CHAIN_6: u32 = CHAIN_5 * ID_HASH_CHAIN;
const CHAIN_7: u32 = CHAIN_6 * ID_HASH_CHAIN;

/** Makes the keys of the slot's id index; nothing to do while its seed is that of the last call. */
export function prepareKeys(): void {
  const seed = header(HEADER_WORD_INDEX_SEED);
  const keys = directory(KERNEL_WORD_INDEX_KEYS);
  // All factors are odd, so a zero says that there are no keys yet.
  if (directory(KERNEL_WORD_INDEX_SEED) === seed && load<u32>(keys, 32) !== 0) return;
  setDirectory(KERNEL_WORD_INDEX_SEED, seed);
  let state = seed;
  for (let i: u32 = 0; i < 8; i++) {
    state += ID_HASH_KEY_STEP;
    store<u32>(keys + (i << 2), mixed(state));
    state += ID_HASH_KEY_STEP;
    store<u32>(keys + (i << 2), mixed(state) | 1, 32);
  }
}

function mixed(state: u32): u32 {
  let key = (state ^ (state >> 16)) * ID_HASH_MIX_FIRST;
  key = (key ^ (key >> 13)) * ID_HASH_MIX_SECOND;
  return key ^ (key >> 16);
}

/** Row of the id at `id` in the private memory, or NO_ROW. The keys have been prepared, here and below. */
function findRow(id: u32): u32 {
  const index = directory(KERNEL_WORD_ID_INDEX);
  const mask = header(HEADER_WORD_INDEX_ENTRIES) - 1;
  let entry = hash(id) & mask;
  while (true) {
    const value = load32(index + (entry << 2));
    if (value === 0) return NO_ROW;
    if (isOf(value - 1, id)) return value - 1;
    entry = (entry + 1) & mask;
  }
}

/** True when `row` has the id at `id`. */
function isOf(row: u32, id: u32): bool {
  const at = directory(KERNEL_WORD_ROW) + row * ROW_BYTES;
  const low = v128.xor(load128(at), v128.load(id));
  const high = v128.xor(load128(at + 16), v128.load(id, 16));
  return !v128.any_true(v128.or(low, high));
}

/** The hash of id-index.ts: its Horner scheme written out, so that all words go side by side. */
function hash(id: u32): u32 {
  const low = v128.load(id);
  const high = v128.load(id, 16);
  const keys = directory(KERNEL_WORD_INDEX_KEYS);
  const first = i32x4.mul(v128.xor(low, v128.load(keys)), v128.load(keys, 32));
  const second = i32x4.mul(v128.xor(high, v128.load(keys, 16)), v128.load(keys, 48));
  const sum = i32x4.add(
    i32x4.mul(v128.xor(first, i32x4.shr_u(first, 16)), i32x4(CHAIN_7, CHAIN_6, CHAIN_5, CHAIN_4)),
    i32x4.mul(v128.xor(second, i32x4.shr_u(second, 16)), i32x4(CHAIN_3, CHAIN_2, ID_HASH_CHAIN, 1)),
  );
  const half = i32x4.add(sum, i64x2.shuffle(sum, sum, 1, 0));
  let h: u32 = i32x4.extract_lane(half, 0) + i32x4.extract_lane(half, 1);
  h = (h ^ (h >> 16)) * ID_HASH_MIX_FIRST;
  return h ^ (h >> 13);
}

/** Writes the row of each of `count` ids at `ids` to `rows`, NO_ROW when it is unknown. */
function findRows(ids: u32, count: u32, rows: u32): void {
  for (let from: u32 = 0; from < count; from += TOGETHER) {
    findTogether(ids + from * ID_BYTES, min(count - from, TOGETHER), rows + (from << 2));
  }
}

/**
 * In three rounds, so that many loads are under way at once: the first entry of each id in the index, the
 * rows that these name, and only then what depends on what was loaded (10 % less at 10,000 nodes, 20 % at a
 * million).
 */
function findTogether(ids: u32, count: u32, rows: u32): void {
  const index = directory(KERNEL_WORD_ID_INDEX);
  const mask = header(HEADER_WORD_INDEX_ENTRIES) - 1;
  const column = directory(KERNEL_WORD_ROW);
  const end = rows + (count << 2);
  for (let at = rows, id = ids; at < end; at += 4, id += ID_BYTES) {
    store<u32>(at, load32(index + ((hash(id) & mask) << 2)));
  }
  let sum: u32 = 0;
  for (let at = rows; at < end; at += 4) {
    const value = load<u32>(at);
    sum += load32(column + (value - u32(value !== 0)) * ROW_BYTES);
  }
  keep(sum);
  for (let at = rows, id = ids; at < end; at += 4, id += ID_BYTES) {
    const row = load<u32>(at) - 1;
    // An empty entry is NO_ROW by now.
    if (row !== NO_ROW && !isOf(row, id)) store<u32>(at, findRow(id));
    else store<u32>(at, row);
  }
}

/** Writes the rows of those of `count` ids at `ids` that are known to `rows`; returns how many. */
export function knownRows(ids: u32, count: u32, rows: u32): u32 {
  findRows(ids, count, rows);
  let known: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const row = load<u32>(rows + (i << 2));
    store<u32>(rows + (known << 2), row);
    known += u32(row !== NO_ROW);
  }
  return known;
}

/** Writes to BLOCKED_ROWS, for each of `count` ids at IDS, its row plus one, or 0 when it is unknown. */
export function lookup(count: u32): void {
  prepareKeys();
  const rows = directory(KERNEL_WORD_BLOCKED_ROWS);
  findRows(directory(KERNEL_WORD_IDS), count, rows);
  for (let at = rows; at < rows + (count << 2); at += 4) store<u32>(at, load<u32>(at) + 1);
}
