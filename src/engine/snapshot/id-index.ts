// @hotpath
/**
 * The id index: open addressing with linear probing, row plus one in each entry, 0 for an empty one. The hash
 * is keyed by a number drawn anew for each load, so that nobody can register ids that all meet in one place.
 */
import {
  ID_HASH_CHAIN,
  ID_HASH_KEY_STEP,
  ID_HASH_KEYS_PER_WORD,
  ID_HASH_MIX_FIRST,
  ID_HASH_MIX_SECOND,
} from '../../../native-layout/id-hash.ts';
import { ID_WORDS, ROW_WORDS } from '../../../native-layout/snapshot-row.ts';

export const NO_ROW = -1;

/** Keys of the hash, from the snapshot's seed: an addend and an odd factor for each word of an id. */
export function indexKeys(seed: number): Int32Array {
  const keys = new Int32Array(ID_HASH_KEYS_PER_WORD * ID_WORDS);
  let state = seed | 0;
  for (let i = 0; i < keys.length; i++) {
    // SplitMix32's sequence: a step of the golden ratio, then MurmurHash3's final mix.
    state = (state + ID_HASH_KEY_STEP) | 0;
    let key = Math.imul(state ^ (state >>> 16), ID_HASH_MIX_FIRST);
    key = Math.imul(key ^ (key >>> 13), ID_HASH_MIX_SECOND);
    keys[i] = (key ^ (key >>> 16)) | (i & 1);
  }
  return keys;
}

/**
 * Keyed hash of the id at index `at` of `words`. Each word meets a secret factor before it meets the others,
 * so what two differences do to each other depends on the key.
 */
export function hashNodeId(words: Uint32Array, at: number, keys: Int32Array): number {
  // Unrolled, because V8 does not.
  let h = mixedWord(words[at]!, keys[0]!, keys[1]!);
  h = (Math.imul(h, ID_HASH_CHAIN) + mixedWord(words[at + 1]!, keys[2]!, keys[3]!)) | 0;
  h = (Math.imul(h, ID_HASH_CHAIN) + mixedWord(words[at + 2]!, keys[4]!, keys[5]!)) | 0;
  h = (Math.imul(h, ID_HASH_CHAIN) + mixedWord(words[at + 3]!, keys[6]!, keys[7]!)) | 0;
  h = (Math.imul(h, ID_HASH_CHAIN) + mixedWord(words[at + 4]!, keys[8]!, keys[9]!)) | 0;
  h = (Math.imul(h, ID_HASH_CHAIN) + mixedWord(words[at + 5]!, keys[10]!, keys[11]!)) | 0;
  h = (Math.imul(h, ID_HASH_CHAIN) + mixedWord(words[at + 6]!, keys[12]!, keys[13]!)) | 0;
  h = (Math.imul(h, ID_HASH_CHAIN) + mixedWord(words[at + 7]!, keys[14]!, keys[15]!)) | 0;
  return finalHash(h);
}

/** Writes the hashes of the ids of the rows from `from` to `to` to `out`, at the index of each row. */
export function hashRows(
  rowWords: Uint32Array,
  from: number,
  to: number,
  keys: Int32Array,
  out: Uint32Array,
): void {
  // The keys in registers: a third of the time that calls of `hashNodeId` take (7 ns an id against 20).
  const a0 = keys[0]!;
  const f0 = keys[1]!;
  const a1 = keys[2]!;
  const f1 = keys[3]!;
  const a2 = keys[4]!;
  const f2 = keys[5]!;
  const a3 = keys[6]!;
  const f3 = keys[7]!;
  const a4 = keys[8]!;
  const f4 = keys[9]!;
  const a5 = keys[10]!;
  const f5 = keys[11]!;
  const a6 = keys[12]!;
  const f6 = keys[13]!;
  const a7 = keys[14]!;
  const f7 = keys[15]!;
  for (let row = from, at = from * ROW_WORDS; row < to; row++, at += ROW_WORDS) {
    let h = mixedWord(rowWords[at]!, a0, f0);
    h = (Math.imul(h, ID_HASH_CHAIN) + mixedWord(rowWords[at + 1]!, a1, f1)) | 0;
    h = (Math.imul(h, ID_HASH_CHAIN) + mixedWord(rowWords[at + 2]!, a2, f2)) | 0;
    h = (Math.imul(h, ID_HASH_CHAIN) + mixedWord(rowWords[at + 3]!, a3, f3)) | 0;
    h = (Math.imul(h, ID_HASH_CHAIN) + mixedWord(rowWords[at + 4]!, a4, f4)) | 0;
    h = (Math.imul(h, ID_HASH_CHAIN) + mixedWord(rowWords[at + 5]!, a5, f5)) | 0;
    h = (Math.imul(h, ID_HASH_CHAIN) + mixedWord(rowWords[at + 6]!, a6, f6)) | 0;
    h = (Math.imul(h, ID_HASH_CHAIN) + mixedWord(rowWords[at + 7]!, a7, f7)) | 0;
    out[row] = finalHash(h);
  }
}

function mixedWord(word: number, addend: number, factor: number): number {
  const mixed = Math.imul(word ^ addend, factor);
  return mixed ^ (mixed >>> 16);
}

function finalHash(hash: number): number {
  const h = Math.imul(hash ^ (hash >>> 16), ID_HASH_MIX_FIRST);
  return (h ^ (h >>> 13)) >>> 0;
}

/**
 * Row of the id at index `at` of `words`, or NO_ROW. `entries` is a power of two, and at least one entry is
 * empty.
 */
export function findRow(
  index: Uint32Array,
  entries: number,
  keys: Int32Array,
  rowWords: Uint32Array,
  words: Uint32Array,
  at: number,
): number {
  const mask = entries - 1;
  let entry = hashNodeId(words, at, keys) & mask;
  for (;;) {
    const value = index[entry]!;
    if (value === 0) return NO_ROW;
    if (sameId(rowWords, (value - 1) * ROW_WORDS, words, at)) return value - 1;
    entry = (entry + 1) & mask;
  }
}

/**
 * Fills an empty index with the rows below `count`, whose hashes stand in `hashes`. Returns false, and leaves
 * the index half done, when an id comes twice.
 */
export function fillIndex(
  index: Uint32Array,
  entries: number,
  hashes: Uint32Array,
  rowWords: Uint32Array,
  count: number,
): boolean {
  const mask = entries - 1;
  for (let from = 0; from < count; from += RUN_ROWS) {
    const to = Math.min(count, from + RUN_ROWS);
    // Entries are anywhere in memory. Asked for all at once they come at once; one after the other, each
    // would be waited for, because the next step depends on it.
    for (let row = from; row < to; row++) touched[0]! |= index[hashes[row]! & mask]!;
    for (let row = from; row < to; row++) {
      const hash = hashes[row]!;
      let entry = hash & mask;
      for (;;) {
        const value = index[entry]!;
        if (value === 0) break;
        // Rows are far apart too: two hashes that differ save the look at them.
        if (hashes[value - 1] === hash && sameRowId(rowWords, value - 1, row)) return false;
        entry = (entry + 1) & mask;
      }
      index[entry] = row + 1;
    }
  }
  return true;
}

const RUN_ROWS = 64;
/** Keeps a load that is made for its effect on the cache. */
const touched = new Uint32Array(1);

/** True when two rows have the same id. */
export function sameRowId(rowWords: Uint32Array, a: number, b: number): boolean {
  return sameId(rowWords, a * ROW_WORDS, rowWords, b * ROW_WORDS);
}

function sameId(a: Uint32Array, aAt: number, b: Uint32Array, bAt: number): boolean {
  for (let i = 0; i < ID_WORDS; i++) if (a[aAt + i] !== b[bAt + i]) return false;
  return true;
}
